import { HalfOpenGate } from '../health/half-open-gate.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';

const observedMs = 10_000;
const fewestFailures = 3;
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;
/** Pauses grow with the outage, so its end is noticed late by at most a quarter of its length. */
const pausePerOutage = 0.25;
/** How long a probe keeps other calls out. */
const modelProbeMs = 5_000;
/** A service that was not reached for this long is taken for unreachable: calls are told, and do not wait. */
const unreachableMs = 10_000;
/** Refusals without hint by all projects at once, and at least this many, are blamed on the model. */
const sharedRefusals = 3;

/**
 * Pauses a model that fails on every key, and lets a single probe find out when it works again. Trips
 * when at least three calls, and half of those that ended in the last ten seconds, have failed.
 */
export class ModelBreaker {
  readonly gate = new HalfOpenGate(modelProbeMs);
  /** When the outage began. */
  failingSince = 0;
  /** Whether the latest failure that counted never reached the service. */
  #isCutOff = false;
  #outcomes: { readonly at: number; readonly failed: boolean }[] = [];
  #refusalsWithoutHint = new Map<ProjectModelQuota, number>();

  /** Whether no call of this process has reached the service for long. */
  isUnreachable(now: number): boolean {
    return !this.gate.isHealthy && this.#isCutOff && now - this.failingSince >= unreachableMs;
  }

  /** The call granted at `grantedAt` succeeded. */
  succeed(grantedAt: number): void {
    if (this.gate.unblock(grantedAt)) this.#outcomes = [];
  }

  /** A call that was observed failed because of the model. Returns for how long to pause it; `undefined` for not at all. */
  fail(grantedAt: number, now: number): number | undefined {
    if (this.gate.isHealthy) {
      if (!this.#mostFail()) return undefined;
      this.failingSince = now;
    } else if (!this.gate.isProbe(grantedAt)) {
      return undefined;
    }
    const outageMs = now - this.failingSince;
    // A probe that does not reach the service is no load on it, and callers wait for the end of the pause.
    if (this.#isCutOff && outageMs < unreachableMs) return firstPauseMs;
    return Math.min(longestPauseMs, Math.max(firstPauseMs, pausePerOutage * outageMs));
  }

  /** A quota was refused without hint. Returns whether all `quotas` were at about the same time. */
  refusedWithoutHint(quota: ProjectModelQuota, now: number, quotas: number): boolean {
    this.#refusalsWithoutHint.set(quota, now);
    for (const [other, at] of this.#refusalsWithoutHint) {
      if (at + observedMs < now) this.#refusalsWithoutHint.delete(other);
    }
    return this.#refusalsWithoutHint.size >= Math.max(sharedRefusals, quotas);
  }

  /** A call ended in this process. */
  observe(now: number, failed: boolean, isCutOff = false): void {
    this.#isCutOff = isCutOff;
    this.#outcomes.push({ at: now, failed });
    while ((this.#outcomes[0]?.at ?? now) + observedMs < now) this.#outcomes.shift();
  }

  #mostFail(): boolean {
    let failed = 0;
    for (const outcome of this.#outcomes) if (outcome.failed) failed += 1;
    return failed >= fewestFailures && failed * 2 >= this.#outcomes.length;
  }
}
