import { onAbort } from './abort.js';

/** The current time, and timers. Inject one to run minutes of traffic in milliseconds. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Pass `isBackground` for a timer that must not keep the process alive. */
  setTimeout(callback: () => void, delayMs: number, options?: { readonly isBackground?: boolean }): unknown;
  clearTimeout(handle: unknown): void;
}

/** The system clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
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
