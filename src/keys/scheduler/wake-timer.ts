import type { Clock } from '../../core/clock.js';

/** A single timer for the next moment at which something can happen. */
export class WakeTimer {
  readonly #clock: Clock;
  readonly #wake: () => void;
  #handle: unknown;
  #at = Number.POSITIVE_INFINITY;

  readonly #options: { readonly isBackground: boolean };

  /** @param isBackground Whether it keeps no process alive. */
  constructor(clock: Clock, wake: () => void, isBackground = false) {
    this.#clock = clock;
    this.#wake = wake;
    this.#options = { isBackground };
  }

  /** Wakes at `at`, in milliseconds since the epoch, and no longer at the time set before; `Infinity` is never. */
  set(at: number): void {
    if (at === this.#at) return;
    if (this.#handle !== undefined) this.#clock.clearTimeout(this.#handle);
    this.#at = at;
    this.#handle = undefined;
    if (at === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, Math.ceil(at - this.#clock.now()));
    this.#handle = this.#clock.setTimeout(
      () => {
        this.#handle = undefined;
        this.#at = Number.POSITIVE_INFINITY;
        this.#wake();
      },
      delayMs,
      this.#options,
    );
  }
}
