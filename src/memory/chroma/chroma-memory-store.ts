import type { ChromaClient } from 'chromadb';
import { type Clock, systemClock } from '../../clock.js';
import { ConfigurationError } from '../../errors.js';
import type { CallOptions, Conversation, RecalledTurn, Turn } from '../../types.js';
import { closedError } from '../closed-error.js';
import type { Embedder } from '../embedder.js';
import { EmbeddingBacklog } from '../embedding-backlog.js';
import type { ForgetTarget, MemoryStats, MemoryStore } from '../memory-store.js';
import { embedQuery } from '../query-vector.js';
import { ChromaAppends } from './chroma-appends.js';
import { ChromaConnection } from './chroma-connection.js';
import { ChromaSessions } from './chroma-sessions.js';
import { byPosition, ChromaVectors, type NearestTurns } from './chroma-vectors.js';
import { conversationKey, toForget } from './scope.js';

export interface ChromaMemoryStoreOptions {
  /** Where the server is. Default: `CHROMA_URL`, or `http://localhost:8000`. */
  readonly url?: string | undefined;
  /** A client of your own, used as it is instead of `url`, `tenant`, `database` and `token`. */
  readonly client?: ChromaClient | undefined;
  /** Chroma's tenant, for Chroma Cloud; not a tenant of your app. Default: `CHROMA_TENANT` or Chroma's own. */
  readonly tenant?: string | undefined;
  /** Chroma's database. Default: `CHROMA_DATABASE` or Chroma's own. */
  readonly database?: string | undefined;
  /** Sent as `x-chroma-token`. */
  readonly token?: string | undefined;
  /** Adds meaning to the ranking; without one the words alone decide. */
  readonly embedder?: Embedder | undefined;
  /** Begins the names of the collections. Default `multimodal-chat-`. */
  readonly collectionPrefix?: string | undefined;
  /** Memory for the indexes of the conversations used last, in bytes. Default 96 MiB. */
  readonly maxCacheBytes?: number | undefined;
  /** How long a recall waits for the query's embedding before the words alone decide. Default 300. */
  readonly queryEmbeddingTimeoutMs?: number | undefined;
  /** How long one request may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Memory on a Chroma server (1.0 or newer) or Chroma Cloud. A turn is accepted by the server when
 * `append` resolves.
 *
 * The turns live in a collection of their own, so that they are accepted whether or not an embedder
 * is there; Chroma demands a vector of each record, which there is a point on a circle that nothing
 * ever asks about. Each embedder has another collection with its vectors. The ranking is the same as
 * that of `EmbeddedMemoryStore`: the words of the whole conversation, and Chroma's nearest vectors.
 *
 * @example
 * ```ts
 * const memory = new ChromaMemoryStore({ url: 'http://localhost:8000' });
 * ```
 */
export class ChromaMemoryStore implements MemoryStore {
  readonly #connection: ChromaConnection;
  readonly #turns: string;
  readonly #vectorsPrefix: string;
  readonly #embedder: Embedder | undefined;
  readonly #queryEmbeddingTimeoutMs: number;
  readonly #clock: Clock;
  readonly #sessions: ChromaSessions;
  readonly #vectors: ChromaVectors | undefined;
  readonly #backlog: EmbeddingBacklog<string> | undefined;
  readonly #appends: ChromaAppends;
  #closing: Promise<void> | undefined;

  constructor(options: ChromaMemoryStoreOptions = {}) {
    const url = options.url ?? process.env.CHROMA_URL ?? 'http://localhost:8000';
    if (!/^https?:\/\/[^/]/i.test(url) || !URL.canParse(url)) {
      throw new ConfigurationError(
        `The Chroma URL ${url} is not an http or https address. Check CHROMA_URL.`,
      );
    }
    const prefix = options.collectionPrefix ?? 'multimodal-chat-';
    this.#clock = options.clock ?? systemClock;
    this.#embedder = options.embedder;
    this.#queryEmbeddingTimeoutMs = options.queryEmbeddingTimeoutMs ?? 300;
    this.#turns = `${prefix}turns`;
    this.#vectorsPrefix = `${prefix}vectors-`;
    const { client, tenant, database, token, timeoutMs = 30_000 } = options;
    const connection = new ChromaConnection({
      url,
      client,
      tenant,
      database,
      token,
      timeoutMs,
      clock: this.#clock,
    });
    this.#connection = connection;
    if (this.#embedder) {
      const embedder = this.#embedder;
      this.#vectors = new ChromaVectors({
        connection,
        prefix: this.#vectorsPrefix,
        turns: this.#turns,
        embedder,
      });
      this.#backlog = new EmbeddingBacklog(embedder, this.#vectors, this.#clock);
    }
    this.#appends = new ChromaAppends({
      connection,
      collection: this.#turns,
      clock: this.#clock,
      onAppended: (waiting) => {
        this.#vectors?.add(waiting);
        this.#backlog?.wake();
      },
    });
    this.#sessions = new ChromaSessions({
      connection,
      collection: this.#turns,
      maxBytes: options.maxCacheBytes ?? 96 * 1024 * 1024,
      onLoaded: (conversation, records) => {
        this.#vectors?.addMissing(conversation, records).then(
          () => this.#backlog?.wake(),
          // What is missing stays missing until the conversation is read anew; its words are found.
          () => undefined,
        );
      },
    });
  }

  async append(turn: Turn, { signal }: CallOptions = {}): Promise<void> {
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#appends.add(turn, signal);
  }

  async recent(
    conversation: Conversation,
    { limit, signal }: CallOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (limit <= 0) return [];
    return this.#reading(conversationKey(conversation), signal, async (key) => {
      const { ids } = await this.#sessions.load(key, signal);
      return ids.slice(-limit).map((id) => ({ id, score: 1 }));
    }).then((found) => found.map(({ turn }) => turn));
  }

  async recall(
    conversation: Conversation,
    query: string,
    { limit, signal }: CallOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (limit <= 0) return [];
    return this.#reading(conversationKey(conversation), signal, async (key) => {
      const [{ index, ids, positions }, nearest] = await Promise.all([
        this.#sessions.load(key, signal),
        this.#nearest(key, query, signal),
      ]);
      const similarities = nearest && byPosition(nearest, positions);
      return index
        .search(query, limit, { similarities })
        .map(({ sequence, score }) => ({ id: ids[sequence] as string, score }));
    });
  }

  async forget(target: ForgetTarget, { signal }: CallOptions = {}): Promise<number> {
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#appends.idle();
    const where = toForget(target);
    this.#vectors?.forget(target);
    // Vectors first: when this breaks off, the turns that are left say what is still to be done.
    for (const name of await this.#connection.collections(this.#vectorsPrefix, signal)) {
      await this.#connection.call(name, (collection) => collection.delete({ where }), signal);
    }
    const { deleted } = await this.#connection.call(
      this.#turns,
      (collection) => collection.delete({ where }),
      signal,
    );
    this.#sessions.clear();
    // Servers before the client 3.5 do not count.
    return deleted ?? 0;
  }

  /** `cacheSize` counts the embeddings that the server holds for this embedder. */
  async stats(): Promise<MemoryStats> {
    this.#assertOpen();
    const [turns, cacheSize] = await Promise.all([
      this.#connection.call(this.#turns, (collection) => collection.count()),
      this.#vectors?.count() ?? 0,
    ]);
    return { turns, cacheSize, pending: this.#vectors?.pending ?? 0 };
  }

  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#appends.idle();
    await this.#backlog?.drain();
  }

  /** Waits for appends under way. Embeddings still to be made are made when their conversation is next read. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#appends.idle();
    await this.#backlog?.close();
    this.#sessions.clear();
  }

  /**
   * Fetches what `choose` picked. A picked turn that is gone was forgotten by another process: then
   * the cached conversation is stale, and the choice is made once more from the server's.
   */
  async #reading(
    key: string,
    signal: AbortSignal | undefined,
    choose: (key: string) => Promise<readonly { readonly id: string; readonly score: number }[]>,
  ): Promise<RecalledTurn[]> {
    for (let lastTry = false; ; lastTry = true) {
      const chosen = await choose(key);
      if (chosen.length === 0) return [];
      const records = await this.#sessions.fetch(
        chosen.map(({ id }) => id),
        signal,
      );
      if (records.length === chosen.length || lastTry) {
        const turns = new Map(records.map(({ id, turn }) => [id, turn]));
        return chosen.flatMap(({ id, score }) => {
          const turn = turns.get(id);
          return turn ? [{ turn, score }] : [];
        });
      }
      this.#sessions.drop(key);
    }
  }

  async #nearest(
    key: string,
    query: string,
    signal: AbortSignal | undefined,
  ): Promise<NearestTurns | undefined> {
    if (!this.#embedder || !this.#vectors || query.trim() === '') return undefined;
    const timeoutMs = this.#queryEmbeddingTimeoutMs;
    const vector = await embedQuery(this.#embedder, query, { signal, timeoutMs, clock: this.#clock });
    if (!vector) return undefined;
    try {
      return await this.#vectors.nearest(key, vector, { signal });
    } catch {
      // The vectors only improve the ranking; if the server is down the turns say so.
      signal?.throwIfAborted();
      return undefined;
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw closedError();
  }
}
