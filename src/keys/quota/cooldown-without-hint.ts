import { exponentialDelayMs } from '../../core/backoff.js';
import type { SlidingLog } from './sliding-log.js';

const cooldownWithoutHint = { initialMs: 5_000, maxMs: 60_000 } as const;

/** The cool-down after a refusal without `retryAfterMs`: longer with each refusal until a call succeeds. */
export class CooldownWithoutHint {
  refusals = 0;

  /** A call succeeded. */
  reset(): void {
    this.refusals = 0;
  }

  /** @param isNews Whether this is the first refusal of the calls that ran together. */
  next(isNews: boolean, log: SlidingLog, now: number): number {
    if (isNews) this.refusals += 1;
    const coolingMs = exponentialDelayMs(this.refusals, cooldownWithoutHint);
    // Quota comes back as soon as the oldest request leaves the window.
    const isUsed = log.requests(now) > 0;
    return isUsed
      ? Math.min(coolingMs, Math.max(cooldownWithoutHint.initialMs, log.oldestLeavesAt(now) - now))
      : coolingMs;
  }
}
