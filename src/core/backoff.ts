export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
}

/** The delay before retry number `attempt` (from 1): doubles from `initialMs` up to `maxMs`. */
export function exponentialDelayMs(attempt: number, { initialMs, maxMs }: BackoffOptions): number {
  return Math.min(maxMs, initialMs * 2 ** Math.max(0, attempt - 1));
}

/** A doubling delay that counts the retries since the last success. */
export class ExponentialBackoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** The delay before the next retry, in milliseconds. */
  next(): number {
    this.#attempt += 1;
    return exponentialDelayMs(this.#attempt, this.#options);
  }

  /** Call after a success. */
  reset(): void {
    this.#attempt = 0;
  }
}
