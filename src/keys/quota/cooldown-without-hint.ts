import type { SlidingLog } from './sliding-log.js';

export const cooldownsWithoutHintMs = [5_000, 10_000, 20_000, 40_000, 60_000] as const;

/** The cool-down after a refusal without `retryAfterMs`: longer with each refusal until a call succeeds. */
export class CooldownWithoutHint {
  #refusals = 0;

  /** A call succeeded. */
  reset(): void {
    this.#refusals = 0;
  }

  /** @param isNews Whether this is the first refusal of the calls that ran together. */
  next(isNews: boolean, log: SlidingLog, now: number): number {
    if (isNews) this.#refusals += 1;
    const [shortestMs] = cooldownsWithoutHintMs;
    const coolingMs =
      cooldownsWithoutHintMs[Math.min(this.#refusals, cooldownsWithoutHintMs.length) - 1] ?? shortestMs;
    // Quota comes back as soon as the oldest request leaves the window.
    const isUsed = log.requests(now) > 0;
    return isUsed ? Math.min(coolingMs, Math.max(shortestMs, log.oldestLeavesAt(now) - now)) : coolingMs;
  }
}
