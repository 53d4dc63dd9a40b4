import { HalfOpenGate } from '../health/half-open-gate.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';

const observedMs = 10_000;
const fewestFailures = 3;
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;
/** The longer it lasts, the rarer the probes: an outage goes unnoticed past its end by a quarter of it. */
const pausePerOutage = 0.25;
/** A probe that has not failed for so long lets one more call through. */
export const modelProbeMs = 5_000;
/** Bare refusals by all projects, and at least so many, at once come from something that they share. */
const sharedRefusals = 3;

/**
 * Parks all calls for a model that fails on every key, and lets a single probe find out when it is
 * back. Opens when at least three calls and half of those that ended in the last ten seconds failed.
 */
export class ModelBreaker {
  readonly gate = new HalfOpenGate(modelProbeMs);
  /** When the calls began to fail. */
  #failingSince = 0;
  #outcomes: { readonly at: number; readonly failed: boolean }[] = [];
  #refusalsWithoutHint = new Map<ProjectModelQuota, number>();

  /** A call that was granted at `grantedAt` was answered. Returns whether this ended a pause. */
  succeed(grantedAt: number, now: number): boolean {
    this.#observe(now, false);
    if (!this.gate.unblock(grantedAt)) return false;
    this.#outcomes = [];
    return true;
  }

  /** A call failed for the model's sake. Returns for how long to pause, if so. */
  fail(grantedAt: number, now: number): number | undefined {
    this.#observe(now, true);
    if (this.gate.isHealthy) {
      if (!this.#mostFail()) return undefined;
      this.#failingSince = now;
    } else if (!this.gate.isProbe(grantedAt)) {
      return undefined;
    }
    return Math.min(longestPauseMs, Math.max(firstPauseMs, pausePerOutage * (now - this.#failingSince)));
  }

  /** Others found at `at` that the calls fail, and closed the gate: the next pause is as long as theirs. */
  follow(at: number): void {
    this.#failingSince = at;
  }

  /** A quota was refused without any detail. Returns whether all `quotas` were at about the same time. */
  refusedWithoutHint(quota: ProjectModelQuota, now: number, quotas: number): boolean {
    this.#refusalsWithoutHint.set(quota, now);
    for (const [other, at] of this.#refusalsWithoutHint) {
      if (at + observedMs < now) this.#refusalsWithoutHint.delete(other);
    }
    return this.#refusalsWithoutHint.size >= Math.max(sharedRefusals, quotas);
  }

  #observe(now: number, failed: boolean): void {
    this.#outcomes.push({ at: now, failed });
    while ((this.#outcomes[0]?.at ?? now) + observedMs < now) this.#outcomes.shift();
  }

  #mostFail(): boolean {
    let failed = 0;
    for (const outcome of this.#outcomes) if (outcome.failed) failed += 1;
    return failed >= fewestFailures && failed * 2 >= this.#outcomes.length;
  }
}
