import { setImmediate as afterPendingJobs } from 'node:timers/promises';
import type { Clock } from '../core/clock.js';

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/**
 * A clock that a test advances. Timers fire in order, and all promise jobs that a timer starts are done
 * before the next one fires, so that minutes of traffic run in milliseconds and always the same way.
 *
 * @example
 * ```ts
 * const clock = new VirtualClock();
 * const pool = new ScheduledKeyPool({ keys, clock });
 * const lease = pool.acquire({ model: 'gemini-3.8-flash', estimatedTokens: 10 });
 * await clock.advance(60_000);
 * ```
 */
export class VirtualClock implements Clock {
  #now: number;
  #wallAheadMs = 0;
  /** Latest first, so that the next one is popped from the end. Equal times fire in the order they were set. */
  readonly #timers: Timer[] = [];
  readonly #held = new Set<Promise<unknown>>();

  /** @param startMs Milliseconds since the epoch. Default: 2026-11-02, 12:00 UTC. */
  constructor(startMs: number = Date.UTC(2026, 10, 2, 12)) {
    this.#now = startMs;
  }

  /** Timers that are set and have not fired. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now + this.#wallAheadMs;
  }

  /** Sets the date, as somebody may set the system's clock: `now` and timers do not notice. */
  setWallTime(wallTimeMs: number): void {
    this.#wallAheadMs = wallTimeMs - this.#now;
  }

  setTimeout(callback: () => void, delayMs: number): unknown {
    const timer: Timer = { at: this.#now + Math.max(0, delayMs), callback };
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#timers[middle]?.at ?? 0) > timer.at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    const place = this.#timers.indexOf(handle as Timer);
    if (place >= 0) this.#timers.splice(place, 1);
  }

  /** Stops time until the work is done: for parts that do real input and output. */
  hold<T>(work: Promise<T>): Promise<T> {
    const release = () => {
      this.#held.delete(work);
    };
    this.#held.add(work);
    work.then(release, release);
    return work;
  }

  /** Advances the time by `ms`, firing all timers that fall due. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.#settle();
    while ((this.#timers.at(-1)?.at ?? Number.POSITIVE_INFINITY) <= end) await this.#fireNext();
    this.#now = Math.max(this.#now, end);
    await this.#settle();
  }

  /**
   * Advances the time, timer by timer, until the promise settles, and returns its value.
   *
   * @throws RangeError if the promise is still pending when no timer is left or `limitMs` (default: one
   * day) has passed.
   */
  async runUntil<T>(promise: Promise<T>, limitMs = 86_400_000): Promise<T> {
    const end = this.#now + limitMs;
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    await this.#settle();
    while (!isSettled) {
      const next = this.#timers.at(-1);
      if (next === undefined) throw new RangeError('The promise will never settle: no timer is set.');
      if (next.at > end) throw new RangeError(`The promise is still pending after ${limitMs} ms.`);
      await this.#fireNext();
    }
    return promise;
  }

  async #fireNext(): Promise<void> {
    const timer = this.#timers.pop();
    if (timer === undefined) return;
    this.#now = Math.max(this.#now, timer.at);
    timer.callback();
    await this.#settle();
  }

  /** Waits until the promise jobs and the held work of the latest step are done. */
  async #settle(): Promise<void> {
    await afterPendingJobs();
    while (this.#held.size > 0) {
      await Promise.allSettled([...this.#held]);
      await afterPendingJobs();
    }
  }
}
