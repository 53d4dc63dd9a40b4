import type { Failure } from '../../core/failure.js';
import { isRejection, type Reaction, reactTo, rejectedForMs } from '../health/failure-reaction.js';
import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import type { KeyEvents } from '../key-events.js';
import type { LeaseOutcome, LeaseRequest } from '../key-pool.js';
import { inferSharedProject } from '../quota/infer-shared-project.js';
import type { Booking, ProjectModelQuota } from '../quota/project-model-quota.js';
import type { KeyRegistry } from './key-registry.js';
import type { ModelQueue } from './model-queue.js';

const hourMs = 3_600_000;
/** Spreads the calls that were all refused until the same moment. */
export const coolingJitterMs = 1_000;

/** The call that a lease was granted to. */
export interface Grant {
  readonly modelQueue: ModelQueue;
  readonly quota: ProjectModelQuota;
  readonly key: PooledKey;
  readonly booking: Booking;
  readonly estimatedTokens: number;
  readonly at: number;
  /** By which a retry of the same call is recognized. */
  readonly request?: LeaseRequest | undefined;
  /** Tokens of the minute that were used at the grant. Default: by the log of the quota. */
  readonly usedTokens?: number | undefined;
}

/** Learns from how a call ended: charges its cost, and blocks what is to blame for a failure. */
export class Settlement {
  readonly #registry: KeyRegistry;
  readonly #events: KeyEvents;
  readonly #random: () => number;
  readonly #keepsLedger: boolean;
  /** Whether the pool tries rejected keys by itself. */
  hasProbe = false;

  /** @param keepsLedger Whether the quotas of this process count all calls. On Redis they count only its own. */
  constructor(registry: KeyRegistry, events: KeyEvents, random: () => number, keepsLedger = false) {
    this.#registry = registry;
    this.#events = events;
    this.#random = random;
    this.#keepsLedger = keepsLedger;
  }

  /** Returns whether the call was refused because of its own size. */
  settle(grant: Grant, outcome: LeaseOutcome, now: number): boolean {
    const { key, modelQueue } = grant;
    const quota = grant.quota.current;
    quota.inFlight -= 1;
    key.inFlight -= 1;
    if (outcome.ok) {
      key.usageCount += 1;
      key.successCount += 1;
      quota.succeed(grant.at);
      modelQueue.latencies.add(now - grant.at);
      const inputTokens = outcome.usage?.inputTokens;
      if (inputTokens !== undefined && inputTokens > 0) {
        quota.amend(grant.booking, inputTokens, now);
        modelQueue.correct(grant.estimatedTokens, inputTokens);
      }
      this.#recovered(grant, quota, ['key', 'project', 'project-model', 'model'], now);
      return false;
    }
    if (outcome.sent) key.usageCount += 1;
    return this.#fail(grant, outcome.failure, outcome.sent, now);
  }

  #fail(grant: Grant, failure: Failure, sent: boolean, now: number): boolean {
    const { key, modelQueue } = grant;
    const reaction = reactTo(failure);
    key.failureCount += 1;
    if (reaction.blame !== 'call' && reaction.blame !== 'model') {
      key.lastErrorAt = now;
      key.lastError = failure.message;
    }
    if (failure.kind === 'overloaded' || failure.kind === 'internal') key.serverErrors += 1;
    if (failure.project !== undefined) this.#registry.identify(grant.quota.current.project, failure.project);
    const quota = grant.quota.current;
    if (reaction.refund || !sent) quota.refund(grant.booking, now);
    this.#learn(grant, quota, failure);
    this.#recovered(grant, quota, scopesProvenBy(failure, sent), now);
    let isTooLarge = false;
    switch (reaction.blame) {
      case 'call':
        break;
      case 'key':
        this.#disable(grant, key, reaction, failure, now);
        break;
      case 'project':
        if (isForQuota(reaction)) isTooLarge = this.#cool(grant, quota, failure, now);
        else this.#disable(grant, quota.project, reaction, failure, now);
        break;
      case 'project-model':
        if (isForQuota(reaction)) isTooLarge = this.#cool(grant, quota, failure, now);
        else this.#blockQuota(grant, quota, failure, reaction, now);
        break;
      case 'model':
        this.#pauseModel(modelQueue, grant, reaction, failure, now);
        break;
    }
    for (const gate of [key.gate, quota.project.gate, quota.gate, modelQueue.breaker.gate])
      gate.releaseProbe(grant.at);
    return isTooLarge;
  }

  /** Limit 0 stands for no quota at all, so it is not learned. */
  #learn(grant: Grant, quota: ProjectModelQuota, failure: Failure): void {
    if (failure.kind === 'no-quota' || !quota.learn(failure.learned)) return;
    this.#events.emit('key', {
      type: 'limit-learned',
      keyId: grant.key.id,
      project: quota.project.name,
      model: quota.model,
      learned: failure.learned,
    });
  }

  #cool(grant: Grant, quota: ProjectModelQuota, failure: Failure, now: number): boolean {
    const { rejections } = grant.key;
    let isTooLarge = false;
    const isNews = quota.gate.isNews(grant.at);
    if (failure.kind === 'daily-quota') {
      rejections.rpd += 1;
      quota.dayRefusedAt = now;
      if (this.#keepsLedger) {
        for (const other of inferSharedProject(quota, grant.modelQueue.quotas, now))
          this.#registry.join(other.project, quota.project);
      }
      quota.gate.block(Math.min(quota.dayEnd(now), now + hourMs), failure.message);
    } else {
      const metric =
        failure.learned?.tpm !== undefined ? 'tpm' : failure.learned?.rpm !== undefined ? 'rpm' : 'unknown';
      rejections[metric] += 1;
      const limit = failure.learned?.tpm;
      const usedTokens = grant.usedTokens ?? quota.log.before(grant.at, now).tokens;
      isTooLarge =
        limit !== undefined &&
        grant.request !== undefined &&
        grant.modelQueue.oversized.refused(grant.request, quota, limit, usedTokens, now);
      const coolingMs = quota.refused(failure, grant.at, now, isTooLarge) + this.#random() * coolingJitterMs;
      quota.gate.block(now + coolingMs, failure.message);
      const isWithoutHint = failure.learned === undefined && failure.retryAfterMs === undefined;
      if (
        isWithoutHint &&
        grant.modelQueue.breaker.refusedWithoutHint(quota, now, grant.modelQueue.quotas.length)
      ) {
        grant.modelQueue.breaker.gate.block(now + coolingMs, failure.message);
      }
    }
    quota.blockedBy = failure.kind;
    if (isNews) this.#emitBlocked('cooled', grant, quota, failure, quota.gate.blockedUntil);
    return isTooLarge;
  }

  #blockQuota(
    grant: Grant,
    quota: ProjectModelQuota,
    failure: Failure,
    reaction: Reaction,
    now: number,
  ): void {
    const isNews = quota.gate.isNews(grant.at);
    quota.gate.block(now + Number(reaction.blockMs), failure.message);
    quota.blockedBy = failure.kind;
    if (isNews) this.#emitBlocked('disabled', grant, quota, failure, quota.gate.blockedUntil);
  }

  #disable(
    grant: Grant,
    culprit: PooledKey | KeyProject,
    reaction: Reaction,
    failure: Failure,
    now: number,
  ): void {
    if (!culprit.gate.isNews(grant.at)) return;
    culprit.strikes += 1;
    const until = now + rejectedForMs(reaction, culprit.strikes, this.hasProbe);
    culprit.gate.block(until, failure.message);
    culprit.rejectedFor = grant.modelQueue.model;
    this.#emitBlocked('disabled', grant, undefined, failure, until);
  }

  #pauseModel(modelQueue: ModelQueue, grant: Grant, reaction: Reaction, failure: Failure, now: number): void {
    const { breaker } = modelQueue;
    let pauseMs: number | undefined;
    if (reaction.blockMs === 'breaker') {
      pauseMs = breaker.fail(grant.at, now);
    } else {
      pauseMs = typeof reaction.blockMs === 'number' ? reaction.blockMs : (failure.retryAfterMs ?? 0) + 1_000;
    }
    if (pauseMs === undefined) return;
    breaker.isRejected = isRejection(failure.kind);
    breaker.gate.block(now + pauseMs * (0.75 + 0.25 * this.#random()), failure.message);
  }

  /** Unblocks what the call proved healthy. */
  #recovered(
    grant: Grant,
    quota: ProjectModelQuota,
    proven: readonly Reaction['blame'][],
    now: number,
  ): void {
    const { key, modelQueue } = grant;
    if (proven.includes('model')) modelQueue.breaker.succeed(grant.at, now);
    if (proven.includes('project-model') && quota.gate.unblock(grant.at)) {
      quota.blockedBy = undefined;
      this.#events.emit('key', {
        type: 'recovered',
        keyId: key.id,
        project: quota.project.name,
        model: quota.model,
      });
    }
    for (const [scope, culprit] of [
      ['key', key],
      ['project', quota.project],
    ] as const) {
      if (!proven.includes(scope)) continue;
      const isUnblocked = culprit.gate.unblock(grant.at);
      if (culprit.gate.isHealthy) culprit.strikes = 0;
      if (!isUnblocked) continue;
      this.#events.emit('key', { type: 'recovered', keyId: key.id, project: quota.project.name });
    }
  }

  #emitBlocked(
    type: 'cooled' | 'disabled',
    grant: Grant,
    quota: ProjectModelQuota | undefined,
    failure: Failure,
    until: number,
  ): void {
    this.#events.emit('key', {
      type,
      keyId: grant.key.id,
      project: grant.quota.current.project.name,
      ...(quota === undefined ? {} : { model: quota.model }),
      reason: failure.message,
      ...(until === Number.POSITIVE_INFINITY ? {} : { until }),
    });
  }
}

function isForQuota({ blockMs: leaveMs }: Reaction): boolean {
  return leaveMs === 'rate' || leaveMs === 'day';
}

/** Scopes that a failed call still proves healthy. A refusal for the rate proves that the key is valid. */
export function scopesProvenBy(failure: Failure, sent: boolean): readonly Reaction['blame'][] {
  if (!sent) return [];
  switch (failure.kind) {
    case 'blocked':
    case 'too-large':
      return ['key', 'project', 'project-model', 'model'];
    case 'invalid-request':
    case 'rate-limit':
    case 'daily-quota':
    case 'no-quota':
    case 'model-unavailable':
      return failure.scope === 'model' && failure.kind === 'rate-limit' ? [] : ['key', 'project'];
    default:
      return [];
  }
}
