import { packTurns, storeTermBlock } from './index-records.js';
import type { MemoryDatabase } from './memory-database.js';
import { turnsPerBlock } from './schema.js';
import type { SessionState } from './session-state.js';

interface Waiting {
  readonly state: SessionState;
  readonly sequence: number;
  readonly packed: Uint8Array | undefined;
}

/** A session of fewer turns is read quickly enough without blocks. */
const longSession = 4 * turnsPerBlock;
/** In one transaction, and so with one flush of the disk. */
const blocksAtATime = 8;

/**
 * Stores the terms of whole blocks of turns in the background, so that the next process reads them
 * rather than the turns. A block that fails is tried again when the session is next read from the start.
 */
export class TermBlockWriter {
  readonly #database: MemoryDatabase;
  readonly #waiting = new Map<string, Waiting>();
  #working: Promise<void> | undefined;
  #isClosed = false;

  constructor(database: MemoryDatabase) {
    this.#database = database;
  }

  /**
   * Nothing is stored before `wake`, so that a recall that makes many does not wait for the disk.
   *
   * @param sequence Of the first turn of the block.
   * @param packed Its terms; if left out, the turns are read.
   */
  add(state: SessionState, sequence: number, packed?: Uint8Array): void {
    this.#waiting.set(`${state.id}/${sequence}`, { state, sequence, packed });
  }

  /** Adds the blocks that the last turn of a long session has completed. */
  addCompleted(state: SessionState): void {
    const end = state.next_sequence;
    if (end % turnsPerBlock !== 0 || end < longSession) return;
    const from = end === longSession ? 0 : end - turnsPerBlock;
    for (let start = from; start < end; start += turnsPerBlock) this.add(state, start);
  }

  wake(): void {
    if (this.#waiting.size === 0) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when everything added so far is stored or has failed. */
  async idle(): Promise<void> {
    this.wake();
    await this.#working;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    for (;;) {
      // The recall that asked for the index comes first.
      await new Promise((resolve) => setImmediate(resolve));
      const next = [...this.#waiting].slice(0, blocksAtATime);
      if (next.length === 0 || this.#isClosed) return;
      for (const [key] of next) this.#waiting.delete(key);
      try {
        await this.#store(next.map(([, block]) => block));
      } catch {
        // Best effort: recall falls back to the turns, and the next database call surfaces the error.
        this.#waiting.clear();
      }
    }
  }

  async #store(blocks: readonly Waiting[]): Promise<void> {
    const database = this.#database;
    const packed: Uint8Array[] = [];
    for (const block of blocks) {
      packed.push(block.packed ?? database.read(() => packTurns(database, block.state.id, block.sequence)));
      // Reading a block of turns takes some milliseconds.
      if (!block.packed) await new Promise((resolve) => setImmediate(resolve));
    }
    await database.write(() => {
      for (const [at, { state, sequence }] of blocks.entries()) {
        storeTermBlock(database, state, sequence, packed[at] as Uint8Array);
      }
    });
  }
}
