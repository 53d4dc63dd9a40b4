import type { Failure } from '../../core/failure.js';
import type { HalfOpenGate } from '../health/half-open-gate.js';
import type { KeyStats, WindowStats } from '../key-pool.js';
import { endless, type GateView, type LimitView, type QuotaView } from './ledger-view.js';

/** Opens or closes a gate as the ledger has it. */
export function hydrateGate(gate: HalfOpenGate, shared: GateView | undefined, now: number): void {
  if (shared === undefined) {
    if (!gate.isHealthy) gate.unblock(Number.POSITIVE_INFINITY);
    return;
  }
  const until = shared.after === endless ? Number.POSITIVE_INFINITY : now + shared.after;
  if (!gate.isHealthy && Math.abs(gate.blockedUntil - until) <= 1) return;
  const reason = gate.reason ?? `another process was told so (${shared.why ?? 'failure'}).`;
  gate.unblock(Number.POSITIVE_INFINITY);
  gate.block(until, reason);
}

/** How long a gate stays shut, in milliseconds as the ledger is told. */
export function remaining(gate: HalfOpenGate, now: number): number {
  return gate.blockedUntil === Number.POSITIVE_INFINITY
    ? endless
    : Math.max(0, Math.ceil(gate.blockedUntil - now));
}

export function learnedOf(view: QuotaView): Failure['learned'] {
  return { rpm: view.rpm.learned, tpm: view.tpm.learned, rpd: view.rpd.learned };
}

/** What the ledger knows of a quota, in the words of the stats. */
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

/** Replaces what this process alone counted by what all processes did. */
export function withSharedWindows(key: KeyStats, shared: ReadonlyMap<string, WindowStats>): KeyStats {
  const windows = key.windows?.map((own) => shared.get(`${key.project} ${own.model}`) ?? own);
  return { ...key, windows };
}

function describeLimit(limit: LimitView): WindowStats['rpm'] {
  return { value: limit.value === endless ? null : limit.value, origin: limit.origin };
}
