import { onAbort } from '../../core/abort.js';

/** Runs at most `limit` tasks at once; the others wait in order of arrival. */
export class Semaphore {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs `task` when a place is free. Rejects with `signal.reason` when aborted while waiting. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await task();
    } finally {
      this.#leave();
    }
  }

  #enter(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const admit = () => {
        unsubscribe();
        resolve();
      };
      this.#waiting.push(admit);
      const unsubscribe = onAbort(signal, (reason) => {
        this.#waiting.splice(this.#waiting.indexOf(admit), 1);
        reject(reason);
      });
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    // The place goes straight to the next in line, so that a newcomer cannot overtake.
    if (next) next();
    else this.#free += 1;
  }
}
