import { onAbort } from './abort.js';

/** The current time, and timers. Inject one to run minutes of traffic in milliseconds. */
export interface Clock {
  /**
   * Milliseconds since the epoch, for durations and deadlines. They never go back and never jump: if the
   * system's clock is set, they differ from the date by as much.
   */
  now(): number;
  /** Milliseconds since the epoch by the system's clock as it is set now, for dates. Default: `now()`. */
  wallTime?(): number;
  /** Pass `isBackground` for a timer that must not keep the process alive. */
  setTimeout(callback: () => void, delayMs: number, options?: { readonly isBackground?: boolean }): unknown;
  clearTimeout(handle: unknown): void;
}

/** The date, in milliseconds since the epoch. */
export function wallTime(clock: Clock): number {
  return clock.wallTime?.() ?? clock.now();
}

/** By how much the date is ahead of `clock.now()`. */
export function wallAheadMs(clock: Clock): number {
  return wallTime(clock) - clock.now();
}

/** The system clock. */
export const systemClock: Clock = {
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  wallTime: () => Date.now(),
  setTimeout: (callback, delayMs, options) => {
    const timer = setTimeout(callback, delayMs);
    return options?.isBackground ? timer.unref() : timer;
  },
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Waits `delayMs`; rejects with `signal.reason` as soon as the signal aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let unsubscribe: (() => void) | undefined;
    const handle = clock.setTimeout(() => {
      unsubscribe?.();
      resolve();
    }, delayMs);
    unsubscribe = onAbort(signal, (reason) => {
      clock.clearTimeout(handle);
      reject(reason);
    });
  });
}
