import { type Failure, isUnreachable } from '../../core/failure.js';
import { type Reaction, reactTo, rejectedForMs } from '../health/failure-reaction.js';
import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import type { KeyEvent, LeaseOutcome } from '../key-pool.js';
import { inferSharedProject } from '../quota/infer-shared-project.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { countRunning, type Grant } from './grant.js';
import type { KeyRegistry } from './key-registry.js';

const hourMs = 3_600_000;
/** Spreads the calls that were all refused until the same moment. */
const coolingJitterMs = 1_000;

/** What this process alone learns from the end of a call. */
export interface Observation {
  /** The call was refused because of its own size. */
  readonly isTooLarge: boolean;
  /** All quotas of the model were refused without a hint, at about the same time. */
  readonly isOfModel: boolean;
  /** Calls of the quota that still ran. */
  readonly inFlight: number;
}

/**
 * Learns from how a call ended, in two steps: `observe` counts it in this process, `apply` changes the
 * quotas and blocks, and may be repeated on another copy of their state.
 */
export class Settlement {
  /** Whether the pool tries rejected keys by itself. */
  hasProbe = false;
  readonly #registry: KeyRegistry;
  readonly #random: () => number;

  constructor(registry: KeyRegistry, random: () => number) {
    this.#registry = registry;
    this.#random = random;
  }

  observe(grant: Grant, outcome: LeaseOutcome, now: number): Observation {
    const { key, modelQueue, request } = grant;
    const quota = grant.quota.current;
    countRunning(quota, key, -1);
    const { inFlight } = quota;
    if (outcome.ok) {
      key.usageCount += 1;
      key.successCount += 1;
      modelQueue.breaker.observe(now, false);
      modelQueue.latencies.add(now - grant.at);
      modelQueue.correct(request.estimatedTokens, outcome.usage?.inputTokens ?? 0);
      return { isTooLarge: false, isOfModel: false, inFlight };
    }
    const { failure, sent } = outcome;
    const { blame, blockMs } = reactTo(failure);
    if (sent) key.usageCount += 1;
    key.failureCount += 1;
    if (blame !== 'call' && blame !== 'model') {
      key.lastErrorAt = now;
      key.lastError = failure.message;
    }
    if (failure.kind === 'overloaded' || failure.kind === 'internal') key.serverErrors += 1;
    if (blockMs === 'breaker') modelQueue.breaker.observe(now, true, isUnreachable(failure));
    if (failure.project !== undefined) {
      this.#registry.identify(grant.quota.current.project, failure.project, now);
    }
    if (blockMs === 'day' && blame !== 'model') key.rejections.rpd += 1;
    if (blockMs !== 'rate' || blame === 'model') return { isTooLarge: false, isOfModel: false, inFlight };
    const limit = failure.learned?.tpm;
    const metric = limit !== undefined ? 'tpm' : failure.learned?.rpm !== undefined ? 'rpm' : 'unknown';
    key.rejections[metric] += 1;
    const isWithoutHint = failure.learned === undefined && failure.retryAfterMs === undefined;
    return {
      inFlight,
      isTooLarge:
        limit !== undefined &&
        modelQueue.oversized.refused(request, quota, limit, grant.booking.usedTokens, now),
      isOfModel: isWithoutHint && modelQueue.breaker.refusedWithoutHint(quota, now, modelQueue.quotas.length),
    };
  }

  /** Returns the events that followed. */
  apply(grant: Grant, outcome: LeaseOutcome, observation: Observation, now: number): readonly KeyEvent[] {
    const quota = grant.quota.current;
    const events: KeyEvent[] = [];
    if (outcome.ok) {
      quota.succeed(grant.at, observation.inFlight);
      const inputTokens = outcome.usage?.inputTokens ?? 0;
      if (inputTokens > 0) quota.amend(grant.booking, inputTokens, now);
      this.#recovered(grant, quota, ['key', 'project', 'project-model', 'model'], events);
      return events;
    }
    const { failure, sent } = outcome;
    const reaction = reactTo(failure);
    if (reaction.refund || !sent) quota.refund(grant.booking, now);
    this.#learn(grant, quota, failure, events);
    this.#recovered(grant, quota, scopesProvenBy(failure, sent), events);
    const isForQuota = reaction.blockMs === 'rate' || reaction.blockMs === 'day';
    switch (reaction.blame) {
      case 'call':
        break;
      case 'key':
        this.#disable(grant, grant.key, reaction, failure, now, events);
        break;
      case 'project':
        if (isForQuota) this.#cool(grant, quota, failure, observation, now, events);
        else this.#disable(grant, quota.project, reaction, failure, now, events);
        break;
      case 'project-model':
        if (isForQuota) this.#cool(grant, quota, failure, observation, now, events);
        else this.#blockQuota(grant, quota, failure, reaction, now, events);
        break;
      case 'model':
        this.#pauseModel(grant, reaction, failure, now);
        break;
    }
    for (const gate of [grant.key.gate, quota.project.gate, quota.gate, grant.modelQueue.breaker.gate])
      gate.releaseProbe(grant.at);
    return events;
  }

  /** Limit 0 stands for no quota at all, so it is not learned. */
  #learn(grant: Grant, quota: ProjectModelQuota, { kind, learned }: Failure, events: KeyEvent[]): void {
    if (kind === 'no-quota' || !quota.limits.learn(learned)) return;
    events.push({
      type: 'limit-learned',
      keyId: grant.key.id,
      project: quota.project.name,
      model: quota.model,
      learned,
    });
  }

  #cool(
    grant: Grant,
    quota: ProjectModelQuota,
    failure: Failure,
    { isOfModel, isTooLarge }: Observation,
    now: number,
    events: KeyEvent[],
  ): void {
    const isNews = quota.gate.isNews(grant.at);
    if (failure.kind === 'daily-quota') {
      quota.facts.dayRefusedAt = now;
      for (const other of inferSharedProject(quota, grant.modelQueue.quotas, now))
        this.#registry.join(other.project, quota.project, now);
      quota.gate.block(Math.min(quota.dayEnd(now), now + hourMs), failure);
    } else {
      const coolingMs = quota.refused(failure, grant.at, now, isTooLarge) + this.#random() * coolingJitterMs;
      quota.gate.block(now + coolingMs, failure);
      if (isOfModel) grant.modelQueue.breaker.gate.block(now + coolingMs, failure);
    }
    if (isNews) events.push(blocked('cooled', grant, failure, quota.gate.blockedUntil, quota.model));
  }

  #blockQuota(
    grant: Grant,
    quota: ProjectModelQuota,
    failure: Failure,
    reaction: Reaction,
    now: number,
    events: KeyEvent[],
  ): void {
    const isNews = quota.gate.isNews(grant.at);
    quota.gate.block(now + Number(reaction.blockMs), failure);
    if (isNews) events.push(blocked('disabled', grant, failure, quota.gate.blockedUntil, quota.model));
  }

  #disable(
    grant: Grant,
    culprit: PooledKey | KeyProject,
    reaction: Reaction,
    failure: Failure,
    now: number,
    events: KeyEvent[],
  ): void {
    if (!culprit.gate.isNews(grant.at)) return;
    culprit.strikes += 1;
    const until = now + rejectedForMs(reaction, culprit.strikes, this.hasProbe);
    culprit.gate.block(until, failure);
    culprit.rejectedFor = grant.modelQueue.model;
    events.push(blocked('disabled', grant, failure, until));
  }

  #pauseModel({ modelQueue, at }: Grant, { blockMs }: Reaction, failure: Failure, now: number): void {
    const { breaker } = modelQueue;
    const isOutage = blockMs === 'breaker';
    const longMs = typeof blockMs === 'number' ? blockMs : (failure.retryAfterMs ?? 0) + 1_000;
    const pauseMs = isOutage ? breaker.fail(at, now) : longMs;
    if (pauseMs === undefined) return;
    breaker.gate.block(now + pauseMs * (0.75 + 0.25 * this.#random()), failure);
  }

  /** Unblocks what the call proved healthy. */
  #recovered(
    grant: Grant,
    quota: ProjectModelQuota,
    proven: readonly Reaction['blame'][],
    events: KeyEvent[],
  ): void {
    const { key, modelQueue } = grant;
    const event = { type: 'recovered', keyId: key.id, project: quota.project.name } as const;
    if (proven.includes('model')) modelQueue.breaker.succeed(grant.at);
    if (proven.includes('project-model') && quota.gate.unblock(grant.at))
      events.push({ ...event, model: quota.model });
    for (const [scope, culprit] of [
      ['key', key],
      ['project', quota.project],
    ] as const) {
      if (!proven.includes(scope)) continue;
      if (culprit.gate.unblock(grant.at)) events.push(event);
      if (culprit.gate.isHealthy) culprit.strikes = 0;
    }
  }
}

function blocked(
  type: 'cooled' | 'disabled',
  grant: Grant,
  failure: Failure,
  until: number,
  model?: string,
): KeyEvent {
  return {
    type,
    keyId: grant.key.id,
    project: grant.quota.current.project.name,
    ...(model === undefined ? {} : { model }),
    reason: failure.message,
    ...(until === Number.POSITIVE_INFINITY ? {} : { until }),
  };
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
