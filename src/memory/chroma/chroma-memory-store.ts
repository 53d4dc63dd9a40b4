import { LRUCache } from 'lru-cache';
import type { AbortOptions } from '../../core/abort.js';
import { type Clock, wallTime } from '../../core/clock.js';
import { ClosedError, MemoryError } from '../../core/errors.js';
import { followersOf, parseForgetTarget } from '../../core/forget-target.js';
import type { Conversation, RecalledTurn, Turn } from '../../core/turn.js';
import type { Embedder } from '../embedder.js';
import type {
  AppendOptions,
  ConversationSummaries,
  ForgetTarget,
  MemoryStats,
  MemoryStore,
  ReindexOptions,
  SessionPage,
  StoredSession,
} from '../memory-store.js';
import { AppendQueue } from '../shared/append-queue.js';
import { conversationKey, turnId } from '../shared/conversation-key.js';
import { EmbeddingBacklog } from '../shared/embedding-backlog.js';
import { RankedSessions } from '../shared/ranked-sessions.js';
import { type SerializedTurn, serializeTurn } from '../shared/turn-body.js';
import { ChromaConnection } from './chroma-connection.js';
import { type ChromaMemoryStoreOptions, resolveChromaOptions } from './chroma-options.js';
import { ChromaSummaries } from './chroma-summaries.js';
import { ChromaTurns, type TurnRecord } from './chroma-turns.js';
import { ChromaVectors } from './chroma-vectors.js';
import { scopeOf, toForget } from './scope.js';
import { listSessions } from './session-list.js';
import { type ChromaSession, SessionReader } from './session-reader.js';

/** Larger requests only take longer; the server's own limit is far higher. */
const largestBatch = 100;
/** Turns looked up at a time while they are reindexed. */
const reindexedAtATime = 500;

interface Appended extends SerializedTurn {
  readonly acceptedAt: number | undefined;
  readonly replace: boolean;
}

/** The vectors of an embedder, and what makes them. */
interface Dense {
  readonly vectors: ChromaVectors;
  readonly backlog: EmbeddingBacklog<string>;
}

/**
 * Memory on a Chroma server (1.0 or newer) or Chroma Cloud. When `append` resolves, the server has accepted
 * the turn. With `withOutbox` turns are accepted on the local disk and delivered in the background.
 *
 * Turns have their own collection, so that they are accepted with or without an embedder; Chroma wants a
 * vector for each record, so each gets a point on a circle that is never queried. Each embedder has a
 * collection for its vectors. The ranking is that of `EmbeddedMemoryStore`, over copies of the turns and
 * vectors of the conversations used last.
 *
 * @example
 * ```ts
 * const memory = new ChromaMemoryStore({ url: 'http://localhost:8000' });
 * ```
 */
export class ChromaMemoryStore implements MemoryStore {
  readonly summaries: ConversationSummaries;
  readonly #summaries: ChromaSummaries;
  readonly #connection: ChromaConnection;
  readonly #vectorsPrefix: string;
  readonly #clock: Clock;
  readonly #turns: ChromaTurns;
  readonly #dense: Dense | undefined;
  readonly #reader: SessionReader;
  readonly #sessions: RankedSessions<ChromaSession>;
  readonly #appends = new AppendQueue<Appended>((batch) => this.#write(batch), { largestBatch });
  /** The highest order of each conversation that was written to lately. */
  readonly #lastOrders = new LRUCache<string, number>({ max: 10_000 });
  #closing: Promise<void> | undefined;

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: ChromaMemoryStoreOptions = {}) {
    const resolved = resolveChromaOptions(options);
    const { clock, embedder, maxCacheBytes: maxBytes, queryEmbeddingTimeoutMs: timeoutMs } = resolved;
    this.#clock = clock;
    this.#vectorsPrefix = resolved.vectorsPrefix;
    this.#connection = new ChromaConnection(resolved);
    this.#turns = new ChromaTurns(this.#connection, resolved.turnsCollection);
    this.#dense = embedder && this.#prepareDense(embedder);
    this.#reader = new SessionReader({ turns: this.#turns, vectors: this.#dense?.vectors, clock, timeoutMs });
    const queryEmbedding = { embedder, timeoutMs, clock };
    this.#sessions = new RankedSessions(this.#reader, { maxBytes, queryEmbedding });
    this.#summaries = new ChromaSummaries({
      connection: this.#connection,
      collection: resolved.summariesCollection,
      sessions: this.#sessions,
      assertOpen: () => this.#assertOpen(),
    });
    this.summaries = this.#summaries;
  }

  async append(turn: Turn, { acceptedAt, replace = false, signal }: AppendOptions = {}): Promise<void> {
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#appends.add({ ...serializeTurn(turn), acceptedAt, replace }, signal);
  }

  async recent(
    conversation: Conversation,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (limit <= 0) return [];
    const session = await this.#sessions.load(conversation, signal);
    const size = session?.bodies.length ?? 0;
    return session?.turns(Math.max(0, size - limit), size) ?? [];
  }

  async recall(
    conversation: Conversation,
    query: string,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    this.#assertOpen();
    options.signal?.throwIfAborted();
    return options.limit <= 0 ? [] : this.#sessions.recall(conversation, query, options);
  }

  /** Reads the metadata of all turns of the tenant, a thousand at a time. */
  async sessions(tenant: string, page: SessionPage): Promise<readonly StoredSession[]> {
    this.#assertOpen();
    page.signal?.throwIfAborted();
    return page.limit <= 0 ? [] : listSessions(this.#turns, tenant, page);
  }

  async forget(target: ForgetTarget, { signal }: AbortOptions = {}): Promise<number> {
    this.#assertOpen();
    signal?.throwIfAborted();
    parseForgetTarget(target);
    await this.#appends.idle();
    if (target.turnId !== undefined) {
      const known = await this.#turns.find(turnId({ ...target, id: target.turnId }));
      // Chroma counts ids that it does not have as deleted.
      if (known === undefined) return 0;
    }
    this.#dense?.vectors.forget(target);
    await this.#relinkFollowers(target, signal);
    // The turns last: if this breaks off, the turns that are left show what is still to be done.
    await this.#forgetDerived(target, signal);
    const deleted = await this.#turns.forget(target, signal);
    this.#sessions.clear();
    // Once more: what was being made could find its turns until now.
    await this.#forgetDerived(target, signal);
    return deleted;
  }

  /** `cacheSize` counts the embeddings that the server holds for this embedder. */
  async stats(): Promise<MemoryStats> {
    this.#assertOpen();
    const [turns, cacheSize] = await Promise.all([this.#turns.count(), this.#dense?.vectors.count() ?? 0]);
    const { lastError } = this.#reader;
    return { turns, cacheSize, pending: this.#dense?.vectors.pending ?? 0, lastError };
  }

  async reindex({ signal, onProgress }: ReindexOptions = {}): Promise<void> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (!this.#dense) {
      throw new MemoryError('There is no embedder to reindex with. Create the store with one.');
    }
    const { backlog, vectors } = this.#dense;
    await this.#appends.idle();
    const [total, known] = await Promise.all([this.#turns.count(), vectors.count()]);
    const storedBefore = vectors.stored;
    const report = () => {
      onProgress?.({ done: Math.min(total, known + vectors.stored - storedBefore), total });
    };
    report();
    backlog.retryRefused();
    // Backwards: if turns are forgotten meanwhile, later ones move forward, and some are seen twice, none missed.
    for (let end = total; end > 0; end -= reindexedAtATime) {
      const from = Math.max(0, end - reindexedAtATime);
      await vectors.addMissing(await this.#turns.page(from, end - from, signal), signal);
      await backlog.drain({ signal, onBatch: report });
    }
    for (const name of await this.#connection.collections(this.#vectorsPrefix, signal)) {
      if (name !== vectors.collection) await this.#connection.drop(name, signal);
    }
  }

  /** Resolves when every turn is on the server and embedded. */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#appends.idle();
    await this.#dense?.backlog.drain();
  }

  /** Waits for appends under way. Missing embeddings are made when their conversation is next read. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#appends.idle();
    this.#reader.close();
    this.#dense?.vectors.close();
    await this.#dense?.backlog.close();
    this.#sessions.clear();
  }

  async #write(batch: readonly Appended[]): Promise<void> {
    const records: TurnRecord[] = [];
    for (const { acceptedAt, body, replace, turn } of batch) {
      if (replace && (await this.#replace(turn, body))) continue;
      const order = await this.#orderOf(conversationKey(turn), acceptedAt);
      records.push({ id: turnId(turn), scope: scopeOf(turn, order), body });
    }
    if (records.length === 0) return;
    await this.#turns.write(records);
    this.#dense?.vectors.add(records);
  }

  /**
   * In its place, so that the turn is never missing. Other processes notice at once if it is the latest;
   * otherwise when they next read the conversation from the server.
   */
  async #replace(turn: Turn, body: string): Promise<boolean> {
    const id = turnId(turn);
    const known = await this.#turns.find(id);
    if (known === undefined) return false;
    const { sessionId, tenant } = turn;
    const record = { id, scope: scopeOf(turn, known.scope.order), body };
    this.#dense?.vectors.forget({ tenant, sessionId, turnId: turn.id });
    await this.#turns.write([record], { replace: true });
    this.#sessions.clear();
    await this.#forgetDerived({ tenant, sessionId, turnId: turn.id }, undefined);
    this.#dense?.vectors.add([record]);
    return true;
  }

  /** Turns that follow a turn that goes follow its parent from here on. */
  async #relinkFollowers(
    { sessionId, tenant, turnId: id }: ForgetTarget,
    signal?: AbortSignal,
  ): Promise<void> {
    if (id === undefined) return;
    const session = await this.#sessions.load({ tenant, sessionId }, signal);
    for (const turn of followersOf(session?.turns(0, session.bodies.length) ?? [], id)) {
      const known = await this.#turns.find(turnId(turn));
      if (known) await this.#turns.write([{ ...known, ...serializeTurn(turn) }], { replace: true });
    }
  }

  /** Microseconds since the epoch, but always above the conversation's orders, should the clock go back. */
  async #orderOf(key: string, acceptedAt: number | undefined): Promise<number> {
    const now = wallTime(this.#clock) * 1000;
    const known = this.#lastOrders.get(key);
    if (acceptedAt !== undefined && known === undefined) return acceptedAt;
    const last = known ?? (await this.#turns.highestOrderFrom(key, now));
    const order = acceptedAt ?? Math.max(now, last + 1);
    this.#lastOrders.set(key, Math.max(order, last));
    return order;
  }

  async #forgetDerived(target: ForgetTarget, signal: AbortSignal | undefined): Promise<void> {
    const meant = toForget(target);
    await this.#summaries.forget(target, signal);
    for (const name of await this.#connection.collections(this.#vectorsPrefix, signal)) {
      await this.#connection.callExisting(name, (collection) => collection.delete(meant), signal);
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
    });
    const backlog = new EmbeddingBacklog(embedder, vectors, this.#clock);
    return { vectors, backlog };
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClosedError('memory store');
  }
}
