import { storeTermBlock } from './index-records.js';
import type { MemoryDatabase } from './memory-database.js';
import type { SessionState } from './session-indexes.js';

/**
 * Stores the terms of whole blocks of turns in the background, so that the next process reads them
 * rather than the turns. One that fails is met again when the session is next read from the start.
 */
export class TermBlockWriter {
  readonly #database: MemoryDatabase;
  readonly #waiting = new Map<string, { readonly state: SessionState; readonly sequence: number }>();
  #working: Promise<void> | undefined;
  #isClosed = false;

  constructor(database: MemoryDatabase) {
    this.#database = database;
  }

  /** @param sequence that of the first turn of the block. */
  add(state: SessionState, sequence: number): void {
    this.#waiting.set(`${state.id}/${sequence}`, { state, sequence });
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when everything added so far is stored or has failed. */
  async idle(): Promise<void> {
    await this.#working;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    for (;;) {
      // Whoever asked for the index comes first.
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#waiting.entries().next().value;
      if (!next || this.#isClosed) return;
      this.#waiting.delete(next[0]);
      try {
        await storeTermBlock(this.#database, next[1].state, next[1].sequence);
      } catch {
        // Recall goes by the turns themselves; whoever needs the file hears of what ails it.
        this.#waiting.clear();
      }
    }
  }
}
