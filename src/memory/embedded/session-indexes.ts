import { LRUCache } from 'lru-cache';
import type { Turn } from '../../types.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import { turnText } from '../turn-text.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey, sequenceOf, turnKey } from './schema.js';

/** What the file says about a session now. */
export interface SessionState {
  readonly id: number;
  readonly next_sequence: number;
  readonly epoch: number;
  readonly vector_version: number;
}

interface CachedIndex {
  readonly index: ConversationIndex;
  readonly epoch: number;
  nextSequence: number;
  vectorVersion: number;
}

/** Rows read at a time, so that a long session does not hold up the event loop. */
const rowsAtATime = 500;

/** The ranking indexes of the sessions used last, within a number of bytes, kept level with the file. */
export class SessionIndexes {
  readonly #dimensions: number | undefined;
  readonly #cache: LRUCache<number, CachedIndex>;

  constructor(options: { readonly maxBytes: number; readonly dimensions: number | undefined }) {
    this.#dimensions = options.dimensions;
    this.#cache = new LRUCache({ maxSize: options.maxBytes, sizeCalculation: ({ index }) => index.bytes });
  }

  /** Vectors in the cache. */
  get vectors(): number {
    let count = 0;
    for (const { index } of this.#cache.values()) count += index.vectors;
    return count;
  }

  /**
   * The index of a session, level with what `state` reports each time it is asked; nothing when there
   * is no such session. Other processes may write at any time, so the state is read again after each pause.
   */
  async load(
    database: MemoryDatabase,
    model: number,
    state: () => SessionState | undefined,
    signal?: AbortSignal,
  ): Promise<{ readonly session: number; readonly index: ConversationIndex } | undefined> {
    for (;;) {
      const now = database.read(state);
      if (!now) return undefined;
      const cached = this.#cached(now);
      const level = database.read(() => this.#catchUp(database, model, now, cached));
      this.#cache.set(now.id, cached);
      if (level) return { session: now.id, index: cached.index };
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  }

  drop(session: number): void {
    this.#cache.delete(session);
  }

  clear(): void {
    this.#cache.clear();
  }

  #cached({ id, epoch }: SessionState): CachedIndex {
    const cached = this.#cache.get(id);
    if (cached?.epoch === epoch) return cached;
    return {
      index: new ConversationIndex({ dimensions: this.#dimensions }),
      epoch,
      nextSequence: 0,
      vectorVersion: 0,
    };
  }

  /** Reads at most one portion; true when nothing is left to read. */
  #catchUp(database: MemoryDatabase, model: number, now: SessionState, cached: CachedIndex): boolean {
    if (cached.nextSequence < now.next_sequence) {
      const rows = database.all(
        'SELECT key, body FROM turns WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?',
        turnKey(now.id, cached.nextSequence),
        lastKey(now.id),
        rowsAtATime,
      );
      for (const { key, body } of rows) {
        const sequence = sequenceOf(key as number);
        cached.index.add(sequence, turnText(JSON.parse(body as string) as Turn));
        cached.nextSequence = sequence + 1;
      }
      if (rows.length < rowsAtATime) cached.nextSequence = now.next_sequence;
      if (cached.nextSequence < now.next_sequence) return false;
    }
    if (model !== 0 && cached.vectorVersion !== now.vector_version) {
      this.#addVectors(database, model, now.id, cached.index);
      cached.vectorVersion = now.vector_version;
    }
    return true;
  }

  #addVectors(database: MemoryDatabase, model: number, session: number, index: ConversationIndex): void {
    const missing = index.firstWithoutVector();
    const rows = database.all(
      'SELECT key, vector FROM vectors WHERE key BETWEEN ? AND ? AND model = ?',
      firstKey(session) + (missing ?? 0),
      lastKey(session),
      model,
    );
    for (const { key, vector } of rows) {
      index.setVector(sequenceOf(key as number), new Uint8Array(vector as ArrayBuffer));
    }
  }
}
