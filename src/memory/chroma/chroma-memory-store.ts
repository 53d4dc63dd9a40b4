import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { ClosedError, MemoryError } from '../../core/errors.js';
import type { Conversation, RecalledTurn, Turn } from '../../core/turn.js';
import type { Embedder } from '../embedder.js';
import type {
  ConversationSummaries,
  ForgetTarget,
  MemoryStats,
  MemoryStore,
  ReindexOptions,
} from '../memory-store.js';
import { EmbeddingBacklog } from '../shared/embedding-backlog.js';
import { embedQuery, type QueryEmbedding } from '../shared/query-vector.js';
import { ChromaConnection } from './chroma-connection.js';
import { type ChromaMemoryStoreOptions, resolveChromaOptions } from './chroma-options.js';
import { ChromaSessions, turnAt } from './chroma-sessions.js';
import { ChromaSummaries } from './chroma-summaries.js';
import { ChromaTurns } from './chroma-turns.js';
import { byPosition, ChromaVectors, type NearestTurns } from './chroma-vectors.js';
import { DirectIntake } from './direct-intake.js';
import { LocalVectors } from './local-vectors.js';
import { reindexVectors } from './reindex-vectors.js';
import { conversationKey, toForget } from './scope.js';
import type { TurnIntake } from './turn-intake.js';
import { TurnOutbox } from './turn-outbox.js';
import { WriteBehind } from './write-behind.js';

/** An embedder and its vectors. */
interface Dense {
  readonly embedder: Embedder;
  readonly vectors: ChromaVectors;
  readonly backlog: EmbeddingBacklog<string>;
}

/**
 * Memory on a Chroma server (1.0 or newer) or Chroma Cloud. When `append` resolves the turn is accepted
 * by the server or, with `outbox`, on the local disk.
 *
 * Turns have their own collection, so that they are accepted with or without an embedder; Chroma wants a
 * vector for each record, so each gets a point on a circle that is never queried. Each embedder has a
 * collection for its vectors. The ranking is that of `EmbeddedMemoryStore`, over copies of the turns and
 * vectors of the conversations used last; until the vectors of one are copied, Chroma finds the nearest.
 *
 * @example
 * ```ts
 * const memory = new ChromaMemoryStore({ url: 'http://localhost:8000', outbox: './data/outbox.db' });
 * ```
 */
export class ChromaMemoryStore implements MemoryStore {
  readonly summaries: ConversationSummaries;
  readonly #summaries: ChromaSummaries;
  readonly #connection: ChromaConnection;
  readonly #vectorsPrefix: string;
  readonly #queryEmbedding: QueryEmbedding;
  readonly #clock: Clock;
  readonly #turns: ChromaTurns;
  readonly #intake: TurnIntake;
  readonly #sessions: ChromaSessions;
  readonly #dense: Dense | undefined;
  #closing: Promise<void> | undefined;

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: ChromaMemoryStoreOptions = {}) {
    const resolved = resolveChromaOptions(options);
    const { clock, embedder, outbox: path, maxPending, maxCacheBytes } = resolved;
    this.#clock = clock;
    this.#vectorsPrefix = resolved.vectorsPrefix;
    this.#queryEmbedding = { embedder, timeoutMs: resolved.queryEmbeddingTimeoutMs, clock };
    this.#connection = new ChromaConnection(resolved);
    this.#turns = new ChromaTurns({
      connection: this.#connection,
      collection: resolved.turnsCollection,
      onStored: (records) => this.#dense?.vectors.add(records),
    });
    this.#dense = embedder && this.#prepareDense(embedder);
    this.#intake =
      path === undefined
        ? new DirectIntake(this.#turns, clock)
        : new WriteBehind(new TurnOutbox({ path, maxPending, clock }), this.#turns, clock);
    const dimensions = embedder?.dimensions ?? 0;
    this.#sessions = new ChromaSessions({
      turns: this.#turns,
      intake: this.#intake,
      vectors:
        this.#dense &&
        new LocalVectors({ vectors: this.#dense.vectors, dimensions, maxBytes: maxCacheBytes, clock }),
      maxBytes: maxCacheBytes,
    });
    this.#summaries = new ChromaSummaries({
      connection: this.#connection,
      collection: resolved.summariesCollection,
      sessions: this.#sessions,
      assertOpen: () => this.#assertOpen(),
    });
    this.summaries = this.#summaries;
  }

  /** @throws MemoryError if the turn could not be made durable, for example because the outbox is full. */
  async append(turn: Turn, { signal }: AbortOptions = {}): Promise<void> {
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#intake.add(turn, signal);
  }

  async recent(
    conversation: Conversation,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (limit <= 0) return [];
    const session = await this.#sessions.load(conversationKey(conversation), signal);
    const first = Math.max(0, session.bodies.length - limit);
    return session.bodies.slice(first).map((_, at) => turnAt(session, first + at));
  }

  async recall(
    conversation: Conversation,
    query: string,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (limit <= 0) return [];
    const key = conversationKey(conversation);
    const embedding = embedQuery(query, this.#queryEmbedding, { signal });
    // The server is usually asked for new turns only.
    const early = this.#sessions.hasVectors(key) ? undefined : this.#nearest(key, embedding, signal);
    const [session, vector, found] = await Promise.all([this.#sessions.load(key, signal), embedding, early]);
    const nearest = session.hasVectors ? undefined : (found ?? (await this.#nearest(key, embedding, signal)));
    const similarities = nearest && byPosition(nearest, session.positions);
    return session.index
      .search(query, limit, session.hasVectors ? { vector } : { similarities })
      .map(({ sequence, score }) => ({ turn: turnAt(session, sequence), score }));
  }

  async forget(target: ForgetTarget, { signal }: AbortOptions = {}): Promise<number> {
    this.#assertOpen();
    signal?.throwIfAborted();
    const dropped = await this.#intake.forget(target, signal);
    // Some may be on the server as well: a process was killed just after it had delivered them.
    const alsoStored = dropped.length > 0 ? (await this.#turns.known(dropped, signal)).size : 0;
    this.#dense?.vectors.forget(target);
    // The turns last: if this breaks off, the turns that are left show what is still to be done.
    await this.#forgetDerived(target, signal);
    const deleted = await this.#turns.forget(target, signal);
    this.#sessions.clear();
    // Once more: what was being made could find its turns until now.
    await this.#forgetDerived(target, signal);
    return deleted + dropped.length - alsoStored;
  }

  /** `cacheSize` counts the embeddings that the server holds for this embedder. */
  async stats(): Promise<MemoryStats> {
    this.#assertOpen();
    const [turns, undelivered, cacheSize] = await Promise.all([
      this.#turns.count(),
      this.#intake.pending(),
      this.#dense?.vectors.count() ?? 0,
    ]);
    const pending = undelivered + (this.#dense?.vectors.pending ?? 0);
    return { turns: turns + undelivered, cacheSize, pending };
  }

  async reindex(options: ReindexOptions = {}): Promise<void> {
    this.#assertOpen();
    options.signal?.throwIfAborted();
    if (!this.#dense)
      throw new MemoryError('There is no embedder to reindex with. Create the store with one.');
    await this.#intake.drain();
    const shared = { connection: this.#connection, turns: this.#turns, prefix: this.#vectorsPrefix };
    await reindexVectors({ ...this.#dense, ...shared }, options);
  }

  /** Resolves when every turn is on the server and embedded. */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#intake.drain();
    await this.#dense?.backlog.drain();
  }

  /**
   * Waits for appends under way. Turns that are still in the outbox are delivered at the next start;
   * missing embeddings are made when their conversation is next read.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#intake.close();
    this.#dense?.vectors.close();
    await this.#dense?.backlog.close();
    this.#sessions.close();
  }

  async #forgetDerived(target: ForgetTarget, signal: AbortSignal | undefined): Promise<void> {
    const where = toForget(target);
    await this.#summaries.forget(target, signal);
    for (const name of await this.#connection.collections(this.#vectorsPrefix, signal)) {
      await this.#connection.callExisting(name, (collection) => collection.delete({ where }), signal);
    }
  }

  #prepareDense(embedder: Embedder): Dense {
    const vectors = new ChromaVectors({
      connection: this.#connection,
      prefix: this.#vectorsPrefix,
      turns: this.#turns,
      embedder,
      clock: this.#clock,
      onGathered: () => backlog.wake(),
      onMade: ({ id, conversation, vector }) => this.#sessions.addVector(conversation, id, vector),
    });
    const backlog = new EmbeddingBacklog(embedder, vectors, this.#clock);
    return { embedder, vectors, backlog };
  }

  async #nearest(
    key: string,
    embedding: Promise<Float32Array | undefined>,
    signal: AbortSignal | undefined,
  ): Promise<NearestTurns | undefined> {
    const vector = await embedding;
    if (!vector) return undefined;
    try {
      return await this.#dense?.vectors.nearest(key, vector, { signal });
    } catch {
      // The vectors only improve the ranking; if the server is down, reading the turns reports it.
      signal?.throwIfAborted();
      return undefined;
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClosedError('memory store');
  }
}
