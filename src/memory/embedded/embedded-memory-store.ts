import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { ClosedError, MemoryError } from '../../core/errors.js';
import { parseForgetTarget } from '../../core/forget-target.js';
import { parseOptions } from '../../core/parse-options.js';
import type { Conversation, RecalledTurn, Turn } from '../../core/turn.js';
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
import { termsOf } from '../rank/terms.js';
import { AppendQueue } from '../shared/append-queue.js';
import { EmbeddingBacklog } from '../shared/embedding-backlog.js';
import { EmbeddingCache } from '../shared/embedding-cache.js';
import { RankedSessions } from '../shared/ranked-sessions.js';
import { serializeTurn, textOfTurn } from '../shared/turn-body.js';
import { backUp } from './back-up.js';
import {
  type EmbeddedMemoryStoreOptions,
  embeddedMemoryStoreOptionsSchema,
} from './embedded-memory-store-options.js';
import { EmbeddedSummaries } from './embedded-summaries.js';
import { MemoryDatabase } from './memory-database.js';
import { listSessions } from './session-list.js';
import { type EmbeddedSession, type IndexedDatabase, SessionReader } from './session-reader.js';
import { deleteTurns } from './turn-deletion.js';
import { type IndexedTurn, insertTurn, lastTurns } from './turn-records.js';
import { countTurns, dropOtherModels, registerModel, unembeddedTurns } from './vector-records.js';

/** Enough for five thousand texts and queries of 768 dimensions. */
const embeddingCacheBytes = 16 * 1024 * 1024;

interface OpenStore extends IndexedDatabase {
  readonly backlog: EmbeddingBacklog<number> | undefined;
}

/**
 * The default memory: one SQLite file, no server. A turn is on disk, flushed, when `append` resolves. A
 * recall scores every turn of the session.
 *
 * @example
 * ```ts
 * const memory = new EmbeddedMemoryStore({ path: './data/memory.db' });
 * ```
 */
export class EmbeddedMemoryStore implements MemoryStore {
  readonly summaries: ConversationSummaries = new EmbeddedSummaries((signal) => this.#existing(signal));
  readonly #path: string;
  readonly #embedder: EmbeddingCache | undefined;
  readonly #clock: Clock;
  readonly #sessions: RankedSessions<EmbeddedSession>;
  /** Turns that arrive together share one transaction, and so one flush of the disk. */
  readonly #appends = new AppendQueue<IndexedTurn>((batch) => this.#write(batch), { largestBatch: 500 });
  #opening: Promise<OpenStore> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: EmbeddedMemoryStoreOptions) {
    const { clock, embedder, maxCacheBytes, path, queryEmbeddingTimeoutMs } = parseOptions(
      embeddedMemoryStoreOptionsSchema,
      options,
      'EmbeddedMemoryStore',
    );
    this.#path = path;
    this.#embedder = embedder && new EmbeddingCache(embedder, { maxBytes: embeddingCacheBytes });
    this.#clock = clock;
    this.#sessions = new RankedSessions(new SessionReader(() => this.#open(), embedder?.dimensions), {
      maxBytes: maxCacheBytes,
      queryEmbedding: { embedder: this.#embedder, timeoutMs: queryEmbeddingTimeoutMs, clock },
    });
  }

  async append(turn: Turn, { replace = false, signal }: AppendOptions = {}): Promise<void> {
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#appends.add({ ...serializeTurn(turn), terms: termsOf(textOfTurn(turn)), replace }, signal);
  }

  async recent(
    conversation: Conversation,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    const database = await this.#existing(signal);
    return database?.read(() => lastTurns(database, conversation, limit)) ?? [];
  }

  async recall(
    conversation: Conversation,
    query: string,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    const database = await this.#existing(options.signal);
    return database ? this.#sessions.recall(conversation, query, options) : [];
  }

  async sessions(tenant: string, page: SessionPage): Promise<readonly StoredSession[]> {
    const database = await this.#existing(page.signal);
    return database?.read(() => listSessions(database, tenant, page)) ?? [];
  }

  async forget(target: ForgetTarget, { signal }: AbortOptions = {}): Promise<number> {
    this.#assertOpen();
    const meant = parseForgetTarget(target);
    const database = await this.#existing(signal);
    if (!database) return 0;
    const count = await database.write(() => deleteTurns(database, meant), signal);
    this.#sessions.clear();
    this.#embedder?.clear();
    await database.emptyLog();
    return count;
  }

  async stats(): Promise<MemoryStats> {
    const database = await this.#existing();
    if (!database) return { turns: 0, sessions: 0, cacheSize: 0, pending: 0, diskBytes: 0 };
    const { model } = await this.#open();
    const cacheSize = this.#sessions.vectors + (this.#embedder?.size ?? 0);
    return { ...countTurns(database, model), cacheSize, diskBytes: database.diskBytes() };
  }

  async reindex({ signal, onProgress }: ReindexOptions = {}): Promise<void> {
    const database = await this.#existing(signal);
    if (!this.#embedder) {
      throw new MemoryError('There is no embedder to reindex with. Create the store with one.');
    }
    if (!database) return;
    await this.#appends.idle();
    const { model, backlog } = await this.#open();
    const report = () => {
      const { turns: total, pending } = countTurns(database, model);
      onProgress?.({ done: total - pending, total });
    };
    report();
    backlog?.retryRefused();
    await backlog?.drain({ signal, onBatch: report });
    await database.write(() => dropOtherModels(database, model), signal);
  }

  /**
   * Writes a copy of the file as it is now, while it is in use, with every turn whose `append` has
   * resolved. To restore it, open a store on the copy.
   *
   * @param path Of the copy; must not exist yet. Its directory is created.
   * @throws MemoryError if the copy cannot be written, or no turn was stored yet.
   *
   * @example
   * ```ts
   * await memory.backup('./backups/memory-2026-11-23.db');
   * ```
   */
  async backup(path: string): Promise<void> {
    const database = await this.#existing();
    if (!database) throw new MemoryError('There is no memory to back up: nothing was stored yet.');
    await backUp(database, path);
  }

  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#appends.idle();
    if (!(await this.#existing())) return;
    const { backlog } = await this.#open();
    await backlog?.drain();
  }

  /** Waits for appends under way. Missing embeddings are made at the next start. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#appends.idle();
    this.#sessions.clear();
    // The call that opened it has reported the failure; then there is nothing to close.
    const open = await this.#opening?.catch(() => undefined);
    await open?.backlog?.close();
    open?.database.close();
  }

  /** The database; undefined if no turn was ever written, since reading must not create files. */
  async #existing(signal?: AbortSignal): Promise<MemoryDatabase | undefined> {
    this.#assertOpen();
    signal?.throwIfAborted();
    if (!this.#opening && !MemoryDatabase.exists(this.#path)) return undefined;
    await this.#reopenIfGone();
    if (!this.#opening && !MemoryDatabase.exists(this.#path)) return undefined;
    const { database } = await this.#open();
    this.#assertOpen();
    return database;
  }

  #open(): Promise<OpenStore> {
    this.#opening ??= this.#openNow().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #openNow(): Promise<OpenStore> {
    const database = await MemoryDatabase.open(this.#path, this.#clock);
    const embedder = this.#embedder;
    if (!embedder) return { database, model: 0, backlog: undefined };
    const model = await registerModel(database, embedder);
    const backlog = new EmbeddingBacklog(embedder, unembeddedTurns(database, model), this.#clock);
    backlog.wake();
    return { database, model, backlog };
  }

  async #write(batch: readonly IndexedTurn[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.#reopenIfGone();
      const { database, backlog } = await this.#open();
      await database.write(() => {
        for (const turn of batch) insertTurn(database, turn);
      });
      backlog?.wake();
      if (!database.isGone()) return;
      if (tries === 3)
        throw new MemoryError(
          `The memory file ${this.#path} is deleted while it is written to. Find out by what.`,
        );
    }
  }

  /** A file that was deleted while it was open takes writes, and loses them at the end of the process. */
  async #reopenIfGone(): Promise<void> {
    const opening = this.#opening;
    const open = await opening?.catch(() => undefined);
    if (!open?.database.isGone() || this.#opening !== opening) return;
    this.#opening = undefined;
    this.#sessions.clear();
    process.emitWarning(
      `The memory file ${this.#path} was deleted or replaced while it was in use. It is opened anew; what was only in the deleted file is lost.`,
      { code: 'MULTIMODAL_CHAT_MEMORY' },
    );
    await open.backlog?.close();
    open.database.close();
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClosedError('memory store');
  }
}
