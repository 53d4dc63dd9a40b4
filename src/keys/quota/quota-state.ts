import type { GateState } from '../health/half-open-gate.js';
import type { DayCount } from './day-count.js';
import type { GcraPace } from './gcra-pace.js';
import type { LimitSetState } from './limit-set.js';
import type { SlotClaims } from './slot-claim.js';

/** What a call has charged to a quota. */
export interface Booking {
  readonly at: number;
  readonly tokens: number;
  /** The quota day to which it is charged. */
  readonly day: number;
  /** Tokens of the minute that were used before. */
  readonly usedTokens: number;
}

/** What is known of a quota besides its parts, as plain data. */
export interface QuotaFacts extends SlotClaims {
  /** When the latest successful call had been granted. */
  answeredAt: number;
  /** When the service last refused a call for the daily quota. */
  dayRefusedAt: number;
  /** Until when the log is not trusted alone, because the service refused what it had admitted. */
  distrustedUntil: number;
  bookedAt: number;
  /** When the first call was charged. */
  openedAt?: number | undefined;
}

/** A quota as plain data, calls in flight left out. */
export interface QuotaState {
  readonly limits: LimitSetState;
  readonly gate?: GateState | undefined;
  readonly windowMs: number;
  readonly log: readonly number[];
  readonly pace: GcraPace['state'];
  readonly day: DayCount['state'];
  readonly cap: number;
  readonly refusals: number;
  readonly facts: QuotaFacts;
}

/** One process's part of what was used of a quota that several share. */
export function partOf(state: QuotaState, processes: number): QuotaState {
  const share = (total: number) => Math.ceil(total / processes);
  const log: number[] = [];
  let requests = 0;
  let tokens = 0;
  for (let i = 0; i + 2 < state.log.length; i += 3) {
    const [at = 0, moreRequests = 0, moreTokens = 0] = state.log.slice(i, i + 3);
    // Shares of running totals, so that rounding adds one request at most.
    log.push(
      at,
      share(requests + moreRequests) - share(requests),
      share(tokens + moreTokens) - share(tokens),
    );
    requests += moreRequests;
    tokens += moreTokens;
  }
  return { ...state, log, day: { ...state.day, requests: share(state.day.requests) } };
}
