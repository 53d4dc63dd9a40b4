import type { Failure } from '../../core/failure.js';
import type { SlidingLog } from './sliding-log.js';

/** Use above this share of the limit cannot come from network delays alone. */
const exceededShare = 1.1;

/**
 * Whether a refusal proves that the service counts by fixed minutes of the clock. It then admitted more
 * than the limit within the sliding window, and asks for a longer wait than a token bucket would, whose
 * quota comes back steadily. At the end of a fixed minute the service forgets all requests at once.
 */
export function detectFixedWindow(
  { learned, retryAfterMs = 0 }: Failure,
  log: SlidingLog,
  inFlight: number,
  now: number,
): boolean {
  const requests = log.requests(now);
  const tokens = log.tokens(now);
  // Calls in flight may still be refused.
  const admittedShare = 1 - inFlight / Math.max(1, requests);
  const isExceeded = (used: number, perCall: number, limit: number | undefined) =>
    limit !== undefined &&
    used * admittedShare > limit * exceededShare &&
    retryAfterMs > (2 * perCall * log.windowMs) / limit;
  return (
    isExceeded(requests, 1, learned?.rpm) || isExceeded(tokens, tokens / Math.max(1, requests), learned?.tpm)
  );
}
