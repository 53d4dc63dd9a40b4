import type { Where } from 'chromadb';
import type { AbortOptions } from '../../core/abort.js';
import type { ForgetTarget } from '../memory-store.js';
import type { ChromaConnection } from './chroma-connection.js';
import { inConversation, inConversationFrom, type RecordScope, toForget } from './scope.js';
import { placeholderVector, type TurnRecord } from './turn-record.js';

const pageSize = 1_000;
/** Pages requested at a time, once it is known that there are several. */
const pagesAhead = 2;

/** The turns on the server. */
export class ChromaTurns {
  readonly #connection: ChromaConnection;
  readonly #collection: string;
  readonly #onStored: (records: readonly TurnRecord[]) => void;

  constructor(options: {
    readonly connection: ChromaConnection;
    readonly collection: string;
    readonly onStored: (records: readonly TurnRecord[]) => void;
  }) {
    this.#connection = options.connection;
    this.#collection = options.collection;
    this.#onStored = options.onStored;
  }

  /**
   * Resolves when the server has accepted all of them. `add`, not `upsert`: Chroma ignores a known id,
   * which is what an append owes, repeated or not.
   */
  async write(batch: readonly TurnRecord[]): Promise<void> {
    // Chroma refuses a batch that names an id twice; the first one counts.
    const byId = new Map([...batch].reverse().map((record) => [record.id, record]));
    const records = [...byId.values()].reverse();
    await this.#connection.call(this.#collection, (collection) =>
      collection.add({
        ids: records.map(({ id }) => id),
        embeddings: records.map(({ id }) => placeholderVector(id)),
        documents: records.map(({ body }) => body),
        metadatas: records.map(({ scope }) => ({ ...scope })),
      }),
    );
    this.#onStored(records);
  }

  /**
   * The records of a conversation from a position on, in the order in which the server accepted them:
   * Chroma numbers records as they come and lists them by that number.
   */
  async list(conversation: string, from: number, options: AbortOptions): Promise<TurnRecord[]> {
    const records: TurnRecord[] = [];
    for await (const page of this.pages(conversation, from, options)) records.push(...page);
    return records;
  }

  /** The same, page by page as they come. */
  async *pages(conversation: string, from: number, { signal }: AbortOptions): AsyncGenerator<TurnRecord[]> {
    const where = inConversation(conversation);
    const reads: Promise<TurnRecord[]>[] = [];
    let offset = from;
    const readOn = () => {
      const read = this.#read({ where, limit: pageSize, offset }, signal);
      // Pages after a failed one, or after the last, are not awaited.
      read.catch(() => undefined);
      reads.push(read);
      offset += pageSize;
    };
    readOn();
    for (;;) {
      const page = (await reads.shift()) ?? [];
      const isLast = page.length < pageSize;
      while (!isLast && reads.length < pagesAhead) readOn();
      yield page;
      if (isLast) return;
    }
  }

  /** Turns of all conversations. */
  page(offset: number, limit: number, signal?: AbortSignal): Promise<TurnRecord[]> {
    return this.#read({ limit, offset }, signal);
  }

  async #read(
    range: { readonly where?: Where; readonly limit: number; readonly offset: number },
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

  /** Those of the ids that are on the server. */
  async known(ids: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    const known = new Set<string>();
    for (let at = 0; at < ids.length; at += pageSize) {
      const page = await this.#connection.call(
        this.#collection,
        (collection) => collection.get({ ids: ids.slice(at, at + pageSize), include: [] }),
        signal,
      );
      for (const id of page.ids) known.add(id);
    }
    return known;
  }

  /** Resolves with the number of turns; 0 from servers that are too old to count. */
  async forget(target: ForgetTarget, signal?: AbortSignal): Promise<number> {
    const { deleted } = await this.#connection.call(
      this.#collection,
      (collection) => collection.delete({ where: toForget(target) }),
      signal,
    );
    return deleted ?? 0;
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#connection.call(this.#collection, (collection) => collection.delete({ ids: [...ids] }));
  }

  count(): Promise<number> {
    return this.#connection.call(this.#collection, (collection) => collection.count());
  }
}
