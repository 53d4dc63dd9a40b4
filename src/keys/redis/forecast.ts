import { endless, type LimitView, type UnitView } from './ledger-view.js';

const longestForecastMs = 3_600_000;

/**
 * In how many milliseconds a call can be expected to start that has `ahead` others before it, from the
 * quotas alone; `Infinity` when not within an hour.
 */
export function forecastStart(units: readonly UnitView[], ahead: number, meanTokens: number): number {
  const enoughWithin = (ms: number) =>
    units.reduce((starts, unit) => starts + startsWithin(unit, ms, meanTokens), 0) >= ahead + 1;
  if (enoughWithin(0)) return 0;
  if (!enoughWithin(longestForecastMs)) return Number.POSITIVE_INFINITY;
  let early = 0;
  let late = longestForecastMs;
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2);
    if (enoughWithin(middle)) late = middle;
    else early = middle;
  }
  return late;
}

/** Calls of `meanTokens` a minute that the limits admit; `Infinity` when they are unknown. */
export function callsPerMinute(unit: UnitView, meanTokens: number): number {
  return Math.min(finite(unit.rpm), finite(unit.tpm) / Math.max(1, meanTokens));
}

function startsWithin(unit: UnitView, ms: number, meanTokens: number): number {
  if (unit.passableAfter === endless || unit.passableAfter > ms) return 0;
  const windows = 1 + ms / unit.window;
  const byRequests = finite(unit.rpm) * windows - unit.requests;
  const byTokens = (finite(unit.tpm) * windows - unit.tokens) / Math.max(1, meanTokens);
  return Math.max(0, Math.min(byRequests, byTokens));
}

function finite(limit: LimitView): number {
  return limit.value === endless ? Number.POSITIVE_INFINITY : limit.value;
}
