import type { Clock } from '../../core/clock.js';

/** Does one thing again and again, until it is given another. Keeps no process alive. */
export class Heartbeat {
  readonly #clock: Clock;
  #timer: unknown;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  every(periodMs: number, run: () => void): void {
    this.stop();
    const timer = this.#clock.setTimeout(
      () => {
        run();
        // What ran may have set another rhythm.
        if (this.#timer === timer) this.every(periodMs, run);
      },
      periodMs,
      { isBackground: true },
    );
    this.#timer = timer;
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
