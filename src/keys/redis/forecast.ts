import { endless, type LimitView, type QuotaView } from './ledger-view.js';

const longestForecastMs = 3_600_000;

/**
 * In how many milliseconds a call with `ahead` calls before it is expected to start, judged by the quotas
 * alone; `Infinity` when not within an hour.
 */
export function forecastStart(quotas: readonly QuotaView[], ahead: number, meanTokens: number): number {
  const enoughWithin = (ms: number) =>
    quotas.reduce((starts, quota) => starts + startsWithin(quota, ms, meanTokens), 0) >= ahead + 1;
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
export function callsPerMinute(quota: QuotaView, meanTokens: number): number {
  return Math.min(finite(quota.rpm), finite(quota.tpm) / Math.max(1, meanTokens));
}

function startsWithin(quota: QuotaView, ms: number, meanTokens: number): number {
  if (quota.passableAfter === endless || quota.passableAfter > ms) return 0;
  const windows = 1 + ms / quota.window;
  const byRequests = finite(quota.rpm) * windows - quota.requests;
  const byTokens = (finite(quota.tpm) * windows - quota.tokens) / Math.max(1, meanTokens);
  return Math.max(0, Math.min(byRequests, byTokens));
}

function finite(limit: LimitView): number {
  return limit.value === endless ? Number.POSITIVE_INFINITY : limit.value;
}
