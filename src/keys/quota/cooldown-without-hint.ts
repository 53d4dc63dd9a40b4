import type { SlidingLog } from './sliding-log.js';

export const cooldownsWithoutHintMs = [5_000, 10_000, 20_000, 40_000, 60_000] as const;

/** How long a quota is left alone that was refused without being told for how long: longer each time. */
export class CooldownWithoutHint {
  #refusals = 0;

  /** A call was answered. */
  reset(): void {
    this.#refusals = 0;
  }

  /** `isNews` says that the refusal is not one of several calls that were refused together. */
  next(isNews: boolean, log: SlidingLog, now: number): number {
    if (isNews) this.#refusals += 1;
    const [shortestMs] = cooldownsWithoutHintMs;
    const coolingMs =
      cooldownsWithoutHintMs[Math.min(this.#refusals, cooldownsWithoutHintMs.length) - 1] ?? shortestMs;
    // What was admitted less than a minute ago begins to come back as it leaves the window.
    const isUsed = log.requests(now) > 0;
    return isUsed ? Math.min(coolingMs, Math.max(shortestMs, log.oldestLeavesAt(now) - now)) : coolingMs;
  }
}
