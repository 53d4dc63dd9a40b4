import type { MemoryStats, MemoryStore } from '../memory/memory-store.js';

/** Whether memory works, as far as calls have shown. */
export interface MemoryHealth {
  /**
   * The last turn could not be stored, or memory could not be read since. Ends when a turn is stored, or when
   * memory can be read a minute after the failure: a server that gets no questions while degraded stores none.
   */
  readonly isDegraded: boolean;
  /** What went wrong last, and when, in milliseconds since the epoch. */
  readonly lastError: { readonly message: string; readonly at: number } | null;
}

const recoveryMs = 60_000;

/** Notes what goes wrong with memory. The first failure is a process warning, since answers go on without memory. */
export class MemoryHealthRecord {
  readonly #now: () => number;
  #isDegraded = false;
  #hasWarned = false;
  #lastError: MemoryHealth['lastError'] = null;

  constructor(now: () => number) {
    this.#now = now;
  }

  worked(): void {
    this.#isDegraded = false;
  }

  failed({ message }: Error): void {
    this.#isDegraded = true;
    this.#lastError = { message, at: this.#now() };
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    process.emitWarning(`Conversations are not remembered: ${message}`, { code: 'MULTIMODAL_CHAT_MEMORY' });
  }

  /** The counts of a store, which are 0 if it cannot be read. */
  async stats(memory: MemoryStore | undefined): Promise<(MemoryStats & MemoryHealth) | undefined> {
    if (memory === undefined) return undefined;
    const read = await this.noting(memory.stats());
    if (read && this.#lastError && this.#now() - this.#lastError.at >= recoveryMs) this.#isDegraded = false;
    const stats = read ?? { cacheSize: 0, pending: 0 };
    const errors = [this.#lastError, stats.lastError].flatMap((error) => error ?? []);
    const lastError = errors.sort((a, b) => b.at - a.at)[0] ?? null;
    return { ...stats, isDegraded: this.#isDegraded, lastError };
  }

  /** What the work gives; undefined, and noted, if it fails. */
  async noting<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      this.failed(error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
  }
}
