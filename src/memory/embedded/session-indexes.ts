import { LRUCache } from 'lru-cache';
import { ConversationIndex } from '../rank/conversation-index.js';
import { TermBlock } from '../rank/term-block.js';
import { addTurns, addVectors, packTurns, readTermBlocks } from './index-records.js';
import type { MemoryDatabase } from './memory-database.js';
import { turnsPerBlock } from './schema.js';
import type { SessionState } from './session-state.js';
import type { TermBlockWriter } from './term-block-writer.js';

interface CachedIndex {
  readonly index: ConversationIndex;
  readonly epoch: number;
  nextSequence: number;
  vectorVersion: number;
  /** Where reading the vectors goes on; undefined unless it is under way. */
  nextVector: { readonly sequence: number; readonly version: number } | undefined;
}

/** Where a session is read from: the file, and the number of the model whose vectors are used (0 for none). */
export interface IndexSource {
  readonly database: MemoryDatabase;
  readonly model: number;
  readonly blocks: TermBlockWriter;
}

/** Blocks read at a time, so that a long session does not block the event loop. */
const storedBlocksAtATime = 16;
/** Blocks made of turns take longer. */
const madeBlocksAtATime = 4;

/** The ranking indexes of the sessions used last, within a number of bytes, kept up to date with the file. */
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
   * The index of a session, up to date with `state`; undefined if there is no such session. Other
   * processes may write at any time, so the state is read again after each pause.
   */
  async load(
    source: IndexSource,
    state: () => SessionState | undefined,
    signal?: AbortSignal,
  ): Promise<{ readonly session: number; readonly index: ConversationIndex } | undefined> {
    try {
      return await this.#load(source, state, signal);
    } finally {
      source.blocks.wake();
    }
  }

  /** Whether the index of the session is cached. */
  holds(session: number): boolean {
    return this.#cache.has(session);
  }

  clear(): void {
    this.#cache.clear();
  }

  async #load(source: IndexSource, state: () => SessionState | undefined, signal: AbortSignal | undefined) {
    let cached: CachedIndex | undefined;
    for (;;) {
      const now = source.database.read(state);
      if (!now) return undefined;
      // The cache does not hold an index that is larger than itself; keep it here while it is read.
      if (cached?.epoch !== now.epoch) cached = this.#cached(now);
      const current = cached;
      const level = source.database.read(() => this.#catchUp(source, now, current));
      this.#cache.set(now.id, cached);
      if (level) return { session: now.id, index: cached.index };
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  }

  #cached({ id, epoch }: SessionState): CachedIndex {
    const cached = this.#cache.get(id);
    if (cached?.epoch === epoch) return cached;
    return {
      index: new ConversationIndex({ dimensions: this.#dimensions }),
      epoch,
      nextSequence: 0,
      vectorVersion: 0,
      nextVector: undefined,
    };
  }

  /** Reads at most one portion; true if nothing is left to read. */
  #catchUp(source: IndexSource, now: SessionState, cached: CachedIndex): boolean {
    if (cached.nextSequence < now.next_sequence) this.#addBlocks(source, now, cached);
    return cached.nextSequence >= now.next_sequence && this.#addVectors(source, now, cached);
  }

  #addBlocks({ database, blocks }: IndexSource, now: SessionState, cached: CachedIndex): void {
    const { index, nextSequence } = cached;
    const stored = readTermBlocks(database, now.id, nextSequence, storedBlocksAtATime);
    let made = 0;
    for (let read = 0; read < storedBlocksAtATime && made < madeBlocksAtATime; read++) {
      const from = cached.nextSequence;
      if (from >= now.next_sequence) return;
      const start = from - (from % turnsPerBlock);
      const isWhole = start + turnsPerBlock <= now.next_sequence;
      // Turns that are appended meanwhile are for the next portion.
      const to = isWhole ? start + turnsPerBlock : now.next_sequence;
      let block = isWhole ? stored.get(from) : undefined;
      if (!block) made++;
      if (!block && isWhole && from === start) {
        const packed = packTurns(database, now.id, start);
        block = TermBlock.unpack(packed);
        blocks.add(now, start, packed);
      }
      if (block) index.addBlock(block, from);
      else addTurns(database, index, now.id, from, to);
      if (isWhole && from !== start) blocks.add(now, start);
      cached.nextSequence = to;
    }
  }

  #addVectors({ database, model }: IndexSource, now: SessionState, cached: CachedIndex): boolean {
    if (this.#dimensions === undefined || cached.vectorVersion === now.vector_version) return true;
    const { sequence, version } = cached.nextVector ?? {
      sequence: cached.index.firstWithoutVector() ?? 0,
      version: now.vector_version,
    };
    const next = addVectors(database, cached.index, model, now.id, sequence);
    cached.nextVector = next === undefined ? undefined : { sequence: next, version };
    if (next === undefined) cached.vectorVersion = version;
    return cached.vectorVersion === now.vector_version;
  }
}
