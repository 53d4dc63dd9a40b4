import { LRUCache } from 'lru-cache';
import type { Turn } from '../../types.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import { turnText } from '../turn-text.js';
import type { ChromaConnection } from './chroma-connection.js';
import { inConversation, inConversationFrom, type RecordScope } from './scope.js';

/** A stored turn as Chroma gives it. */
export interface TurnRecord {
  readonly id: string;
  readonly scope: RecordScope;
  readonly turn: Turn;
}

/** The turns of one conversation, in order, and the index that ranks them. */
export interface LoadedSession {
  readonly index: ConversationIndex;
  /** Record ids; the position is the sequence under which the index knows the turn. */
  readonly ids: readonly string[];
  readonly positions: ReadonlyMap<string, number>;
}

interface CachedSession {
  readonly index: ConversationIndex;
  readonly ids: string[];
  readonly positions: Map<string, number>;
  newestOrder: number;
}

const pageSize = 1_000;

/**
 * Clocks of processes on one conversation may differ by this much, in microseconds: so far back the
 * ids are compared, instead of trusting that what is new has a higher order.
 */
const clockToleranceUs = 5_000_000;

/** The conversations used last, kept level with the server, within a number of bytes. */
export class ChromaSessions {
  readonly #connection: ChromaConnection;
  readonly #collection: string;
  readonly #onLoaded: (conversation: string, records: readonly TurnRecord[]) => void;
  readonly #cache: LRUCache<string, CachedSession>;
  readonly #loading = new Map<string, Promise<unknown>>();

  constructor(options: {
    readonly connection: ChromaConnection;
    readonly collection: string;
    readonly maxBytes: number;
    /** Told of all turns of a conversation when it is read from the start. */
    readonly onLoaded: (conversation: string, records: readonly TurnRecord[]) => void;
  }) {
    this.#connection = options.connection;
    this.#collection = options.collection;
    this.#onLoaded = options.onLoaded;
    this.#cache = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ index, ids }) => index.bytes + ids.length * 200,
    });
  }

  /** The conversation with everything that was appended before the call. */
  load(key: string, signal?: AbortSignal): Promise<LoadedSession> {
    // One at a time per conversation: two that add the same turns would double them.
    const earlier = this.#loading.get(key) ?? Promise.resolve();
    // The caller of the earlier one hears of its failure; this one tries anew.
    const load = earlier.catch(() => undefined).then(() => this.#load(key, signal));
    this.#loading.set(key, load);
    const done = () => {
      if (this.#loading.get(key) === load) this.#loading.delete(key);
    };
    load.then(done, done);
    return load;
  }

  drop(key: string): void {
    this.#cache.delete(key);
  }

  clear(): void {
    this.#cache.clear();
  }

  async #load(key: string, signal?: AbortSignal): Promise<LoadedSession> {
    const cached = this.#cache.get(key);
    const session =
      (cached && (await this.#catchUp(key, cached, signal))) ?? (await this.#loadAll(key, signal));
    this.#cache.set(key, session);
    return session;
  }

  /** Nothing when a turn turned up that belongs before known ones. */
  async #catchUp(
    key: string,
    session: CachedSession,
    signal?: AbortSignal,
  ): Promise<CachedSession | undefined> {
    const from = session.newestOrder - clockToleranceUs;
    const { ids } = await this.#connection.call(
      this.#collection,
      (collection) => collection.get({ where: inConversationFrom(key, from), include: [] }),
      signal,
    );
    const unknown = ids.filter((id) => !session.positions.has(id));
    if (unknown.length === 0) return session;
    const records = await this.fetch(unknown, signal);
    records.sort(byOrder);
    if ((records[0]?.scope.order ?? Number.POSITIVE_INFINITY) < session.newestOrder) return undefined;
    addRecords(session, records);
    return session;
  }

  async #loadAll(key: string, signal?: AbortSignal): Promise<CachedSession> {
    const records: TurnRecord[] = [];
    for (;;) {
      const page = await this.#connection.call(
        this.#collection,
        (collection) =>
          collection.get({
            where: inConversation(key),
            include: ['documents', 'metadatas'],
            limit: pageSize,
            offset: records.length,
          }),
        signal,
      );
      records.push(...readRecords(page));
      if (page.ids.length < pageSize) break;
    }
    records.sort(byOrder);
    const session: CachedSession = {
      index: new ConversationIndex(),
      ids: [],
      positions: new Map(),
      newestOrder: 0,
    };
    addRecords(session, records);
    this.#onLoaded(key, records);
    return session;
  }

  /** The records that are still there, in any order. */
  async fetch(ids: readonly string[], signal?: AbortSignal): Promise<TurnRecord[]> {
    const records: TurnRecord[] = [];
    for (let at = 0; at < ids.length; at += pageSize) {
      const page = await this.#connection.call(
        this.#collection,
        (collection) =>
          collection.get({ ids: ids.slice(at, at + pageSize), include: ['documents', 'metadatas'] }),
        signal,
      );
      records.push(...readRecords(page));
    }
    return records;
  }
}

const byOrder = (a: TurnRecord, b: TurnRecord): number =>
  a.scope.order - b.scope.order || (a.id < b.id ? -1 : 1);

function addRecords(session: CachedSession, records: readonly TurnRecord[]): void {
  for (const { id, scope, turn } of records) {
    session.positions.set(id, session.ids.length);
    session.index.add(session.ids.length, turnText(turn));
    session.ids.push(id);
    session.newestOrder = scope.order;
  }
}

function readRecords(page: {
  readonly ids: readonly string[];
  readonly documents: readonly (string | null)[];
  readonly metadatas: readonly (object | null)[];
}): TurnRecord[] {
  return page.ids.map((id, at) => ({
    id,
    scope: page.metadatas[at] as RecordScope,
    turn: JSON.parse(page.documents[at] as string) as Turn,
  }));
}
