import type { Failure } from '../../core/failure.js';
import type { SlidingLog } from './sliding-log.js';

/** So much more than the limit is no matter of calls that were late on their way. */
const overdraftShare = 1.1;

/**
 * Whether a refusal proves that the service counts by the minute of the clock: it admitted more than the
 * limit that it names within the window of the log, and asks for more patience than a bucket would, in
 * which the quota of one call comes back all the time. When such a minute ends all of it is forgotten.
 */
export function detectFixedWindow(
  { learned, retryAfterMs = 0 }: Failure,
  log: SlidingLog,
  inFlight: number,
  now: number,
): boolean {
  const requests = log.requests(now);
  const tokens = log.tokens(now);
  // What is in flight may still be refused.
  const admittedShare = 1 - inFlight / Math.max(1, requests);
  const isOverdrawn = (used: number, perCall: number, limit: number | undefined) =>
    limit !== undefined &&
    used * admittedShare > limit * overdraftShare &&
    retryAfterMs > (2 * perCall * log.windowMs) / limit;
  return (
    isOverdrawn(requests, 1, learned?.rpm) ||
    isOverdrawn(tokens, tokens / Math.max(1, requests), learned?.tpm)
  );
}
