import type { Clock } from '../../core/clock.js';

/** Repeats one task at a time. Keeps no process alive. */
export class Heartbeat {
  readonly #clock: Clock;
  #timer: unknown;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Repeats `run` in place of the task before. */
  every(periodMs: number, run: () => void): void {
    this.stop();
    const timer = this.#clock.setTimeout(
      () => {
        run();
        // `run` may have started another task.
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
