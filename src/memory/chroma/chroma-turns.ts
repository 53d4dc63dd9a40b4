import type { Where } from 'chromadb';
import type { ForgetTarget } from '../memory-store.js';
import { textOfBody } from '../shared/turn-body.js';
import type { ChromaConnection } from './chroma-connection.js';
import { inConversation, inConversationFrom, ofTenant, type RecordScope, toForget } from './scope.js';

/** A turn as it is stored on the server. */
export interface TurnRecord {
  readonly id: string;
  readonly scope: RecordScope;
  /** The turn as JSON, by `serializeTurn`. */
  readonly body: string;
}

export const textOf = ({ body }: TurnRecord): string => textOfBody(body);

/** For a record without a vector. Spread out by id: an index of equal points would degenerate. */
export function placeholderVector(id: string): number[] {
  const angle = (Number.parseInt(id.slice(0, 12), 16) / 2 ** 48) * 2 * Math.PI;
  return [Math.cos(angle), Math.sin(angle)];
}

const pageSize = 1_000;

/** The turns on the server. */
export class ChromaTurns {
  readonly #connection: ChromaConnection;
  readonly #collection: string;

  constructor(connection: ChromaConnection, collection: string) {
    this.#connection = connection;
    this.#collection = collection;
  }

  /**
   * Resolves when the server has accepted all of them. `add`, not `upsert`: Chroma ignores a known id,
   * which is what an append owes, repeated or not.
   */
  async write(batch: readonly TurnRecord[], { replace = false } = {}): Promise<void> {
    // Chroma refuses a batch that names an id twice; the first one counts.
    const byId = new Map([...batch].reverse().map((record) => [record.id, record]));
    const records = [...byId.values()].reverse();
    await this.#connection.call(this.#collection, (collection) =>
      collection[replace ? 'upsert' : 'add']({
        ids: records.map(({ id }) => id),
        embeddings: records.map(({ id }) => placeholderVector(id)),
        documents: records.map(({ body }) => body),
        metadatas: records.map(({ scope }) => ({ ...scope })),
      }),
    );
  }

  /**
   * The records of a conversation from a position on, page by page, in the order in which the server accepted
   * them: Chroma numbers records as they come and lists them by that number.
   */
  async *pages(conversation: string, from: number, signal?: AbortSignal): AsyncGenerator<TurnRecord[]> {
    const where = inConversation(conversation);
    let offset = from;
    let reading = this.#read({ where, limit: pageSize, offset }, signal);
    for (;;) {
      const page = await reading;
      const isLast = page.length < pageSize;
      offset += pageSize;
      // The next page comes while this one is used.
      if (!isLast) reading = this.#read({ where, limit: pageSize, offset }, signal);
      reading.catch(() => undefined);
      yield page;
      if (isLast) return;
    }
  }

  /** Turns of all conversations. */
  page(offset: number, limit: number, signal?: AbortSignal): Promise<TurnRecord[]> {
    return this.#read({ limit, offset }, signal);
  }

  /** The ids and metadata of all turns of a tenant, page by page. */
  async *scopes(tenant: string, signal?: AbortSignal): AsyncGenerator<Omit<TurnRecord, 'body'>[]> {
    for (let offset = 0; ; offset += pageSize) {
      const range = { where: ofTenant(tenant), limit: pageSize, offset, include: ['metadatas' as const] };
      const { ids, metadatas } = await this.#connection.call(
        this.#collection,
        (collection) => collection.get(range),
        signal,
      );
      yield ids.map((id, at) => ({ id, scope: metadatas[at] as object as RecordScope }));
      if (ids.length < pageSize) return;
    }
  }

  /** Those of the turns that are on the server, as JSON. */
  async bodies(ids: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
    if (ids.length === 0) return new Map();
    const records = await this.#read({ ids: [...ids], limit: ids.length, offset: 0 }, signal);
    return new Map(records.map(({ body, id }) => [id, body]));
  }

  async #read(
    range: {
      readonly where?: Where;
      readonly ids?: string[];
      readonly limit: number;
      readonly offset: number;
    },
    signal: AbortSignal | undefined,
  ): Promise<TurnRecord[]> {
    const { documents, ids, metadatas } = await this.#connection.call(
      this.#collection,
      (collection) => collection.get({ ...range, include: ['documents', 'metadatas'] }),
      signal,
    );
    return ids.map((id, at) => {
      return { id, scope: metadatas[at] as object as RecordScope, body: documents[at] as string };
    });
  }

  /** The highest order in a conversation, if it is not below `from`; otherwise 0. */
  async highestOrderFrom(conversation: string, from: number): Promise<number> {
    const { metadatas } = await this.#connection.call(this.#collection, (collection) =>
      collection.get({ where: inConversationFrom(conversation, from), include: ['metadatas'] }),
    );
    return metadatas.reduce((highest, scope) => Math.max(highest, Number(scope?.order ?? 0)), 0);
  }

  async find(id: string): Promise<TurnRecord | undefined> {
    return (await this.#read({ ids: [id], limit: 1, offset: 0 }, undefined))[0];
  }

  /** Those of the ids that are on the server. */
  known(ids: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    return this.#connection.known(this.#collection, ids, signal);
  }

  /** Resolves with the number of turns; 0 from servers that are too old to count. */
  async forget(target: ForgetTarget, signal?: AbortSignal): Promise<number> {
    const { deleted } = await this.#connection.call(
      this.#collection,
      (collection) => collection.delete(toForget(target)),
      signal,
    );
    return deleted ?? 0;
  }

  count(): Promise<number> {
    return this.#connection.call(this.#collection, (collection) => collection.count());
  }
}
