import type { Failure } from '../../core/failure.js';
import type { HalfOpenGate } from '../health/half-open-gate.js';
import type { KeyStats, WindowStats } from '../key-pool.js';
import { endless, type GateView, type LimitView, type QuotaView } from './ledger-view.js';

/** Sets a gate to its state in the ledger. */
export function hydrateGate(gate: HalfOpenGate, shared: GateView | undefined, now: number): void {
  if (shared === undefined) {
    if (!gate.isHealthy) gate.unblock(Number.POSITIVE_INFINITY);
    return;
  }
  const until = shared.after === endless ? Number.POSITIVE_INFINITY : now + shared.after;
  if (!gate.isHealthy && Math.abs(gate.blockedUntil - until) <= 1) return;
  const reason = gate.reason ?? `another process was refused (${shared.why ?? 'failure'}).`;
  gate.unblock(Number.POSITIVE_INFINITY);
  gate.block(until, reason);
}

/** How long a gate stays blocked, in milliseconds as the ledger counts them. */
export function remaining(gate: HalfOpenGate, now: number): number {
  return gate.blockedUntil === Number.POSITIVE_INFINITY
    ? endless
    : Math.max(0, Math.ceil(gate.blockedUntil - now));
}

export function learnedOf(view: QuotaView): Failure['learned'] {
  return { rpm: view.rpm.learned, tpm: view.tpm.learned, rpd: view.rpd.learned };
}

/** The state of a quota in the ledger, as part of the stats. */
export function describeView(model: string, view: QuotaView, now: number): WindowStats {
  return {
    model,
    requests: view.requests,
    inputTokens: view.tokens,
    requestsToday: view.day,
    rpm: describeLimit(view.rpm),
    tpm: describeLimit(view.tpm),
    rpd: describeLimit(view.rpd),
    inFlight: view.inFlight,
    nextFreeAt: view.freeAfter === endless ? null : now + view.freeAfter,
  };
}

/** Replaces the windows that this process counted by those of all processes. */
export function withSharedWindows(key: KeyStats, shared: ReadonlyMap<string, WindowStats>): KeyStats {
  const windows = key.windows?.map((own) => shared.get(`${key.project} ${own.model}`) ?? own);
  return { ...key, windows };
}

function describeLimit(limit: LimitView): WindowStats['rpm'] {
  return { value: limit.value === endless ? null : limit.value, origin: limit.origin };
}
