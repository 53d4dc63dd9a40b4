import type { Failure } from '../../core/failure.js';
import { type Reaction, reactTo } from '../health/failure-reaction.js';
import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import type { KeyEvents } from '../key-events.js';
import type { LeaseOutcome, LeaseRequest } from '../key-pool.js';
import { findDailyKin } from '../quota/infer-shared-project.js';
import type { Booking, Unit } from '../quota/project-model-quota.js';
import type { KeyRing } from './key-registry.js';
import type { ModelLane } from './model-queue.js';

const hourMs = 3_600_000;
/** Spreads calls that were all told to come back at the same moment. */
const coolingJitterMs = 1_000;

/** What a lease stands for. */
export interface Grant {
  readonly lane: ModelLane;
  readonly unit: Unit;
  readonly key: PooledKey;
  readonly booking: Booking;
  readonly estimatedTokens: number;
  readonly at: number;
  /** What the call asked for, to know it again when it asks once more. */
  readonly need?: LeaseRequest | undefined;
  /** Tokens of the minute that were used when it was granted, where a ledger other than the unit's knows. */
  readonly usedTokens?: number | undefined;
}

/** Learns from how a call ended: books what it cost and leaves alone whoever is to blame. */
export class Settlement {
  readonly #ring: KeyRing;
  readonly #events: KeyEvents;
  readonly #random: () => number;
  readonly #keepsLedger: boolean;

  /** @param keepsLedger whether the units count all that this process knows of, and not a part of it. */
  constructor(ring: KeyRing, events: KeyEvents, random: () => number, keepsLedger = false) {
    this.#ring = ring;
    this.#events = events;
    this.#random = random;
    this.#keepsLedger = keepsLedger;
  }

  /** Returns whether the call was refused for its own size rather than for what else was asked. */
  settle(grant: Grant, outcome: LeaseOutcome, now: number): boolean {
    const { key, lane } = grant;
    const unit = grant.unit.current;
    unit.inFlight -= 1;
    key.inFlight -= 1;
    if (outcome.ok) {
      key.usageCount += 1;
      key.successCount += 1;
      unit.succeed(grant.at);
      lane.answers.add(now - grant.at);
      const inputTokens = outcome.usage?.inputTokens;
      if (inputTokens !== undefined && inputTokens > 0) {
        unit.amend(grant.booking, inputTokens, now);
        lane.correct(grant.estimatedTokens, inputTokens);
      }
      this.#recovered(grant, unit, ['key', 'project', 'project-model', 'model'], now);
      return false;
    }
    if (outcome.sent) key.usageCount += 1;
    return this.#fail(grant, outcome.failure, outcome.sent, now);
  }

  #fail(grant: Grant, failure: Failure, sent: boolean, now: number): boolean {
    const { key, lane } = grant;
    const reaction = reactTo(failure);
    key.failureCount += 1;
    if (reaction.blame !== 'call' && reaction.blame !== 'model') {
      key.lastErrorAt = now;
      key.lastError = failure.message;
    }
    if (failure.kind === 'overloaded' || failure.kind === 'internal') key.serverErrors += 1;
    if (failure.project !== undefined) this.#ring.identify(grant.unit.current.project, failure.project);
    const unit = grant.unit.current;
    if (reaction.refund || !sent) unit.refund(grant.booking, now);
    this.#learn(grant, unit, failure);
    this.#recovered(grant, unit, provenBy(failure, sent), now);
    let isTooLarge = false;
    switch (reaction.blame) {
      case 'call':
        break;
      case 'key':
        this.#disable(grant, key, reaction, failure, now);
        break;
      case 'project':
        if (isForQuota(reaction)) isTooLarge = this.#cool(grant, unit, failure, now);
        else this.#disable(grant, unit.project, reaction, failure, now);
        break;
      case 'project-model':
        if (isForQuota(reaction)) isTooLarge = this.#cool(grant, unit, failure, now);
        else this.#leaveUnit(grant, unit, failure, reaction, now);
        break;
      case 'model':
        this.#pauseModel(lane, grant, reaction, failure, now);
        break;
    }
    for (const gate of [key.gate, unit.project.gate, unit.gate, lane.breaker.gate]) gate.release(grant.at);
    return isTooLarge;
  }

  /** Limit 0 means that there is no quota at all, which is no limit to schedule by. */
  #learn(grant: Grant, unit: Unit, failure: Failure): void {
    if (failure.kind === 'no-quota' || !unit.learn(failure.learned)) return;
    this.#events.emit({
      type: 'limit-learned',
      keyId: grant.key.id,
      project: unit.project.name,
      model: unit.model,
      learned: failure.learned,
    });
  }

  #cool(grant: Grant, unit: Unit, failure: Failure, now: number): boolean {
    const { rejections } = grant.key;
    let isTooLarge = false;
    const fresh = unit.gate.isOpen || unit.gate.isProbe(grant.at);
    if (failure.kind === 'daily-quota') {
      rejections.rpd += 1;
      unit.dayRefusedAt = now;
      if (this.#keepsLedger) {
        for (const kin of findDailyKin(unit, grant.lane.units, now))
          this.#ring.join(kin.project, unit.project);
      }
      unit.gate.close(Math.min(unit.dayEnd(now), now + hourMs), failure.message);
    } else {
      const metric =
        failure.learned?.tpm !== undefined ? 'tpm' : failure.learned?.rpm !== undefined ? 'rpm' : 'unknown';
      rejections[metric] += 1;
      const limit = failure.learned?.tpm;
      const usedTokens = grant.usedTokens ?? unit.log.before(grant.at, now).tokens;
      isTooLarge =
        limit !== undefined &&
        grant.need !== undefined &&
        grant.lane.oversized.refused(grant.need, unit, limit, usedTokens, now);
      const coolingMs = unit.refused(failure, grant.at, now, isTooLarge) + this.#random() * coolingJitterMs;
      unit.gate.close(now + coolingMs, failure.message);
      const isBare = failure.learned === undefined && failure.retryAfterMs === undefined;
      if (isBare && grant.lane.breaker.refusedBare(unit, now, grant.lane.units.length)) {
        grant.lane.breaker.gate.close(now + coolingMs, failure.message);
      }
    }
    unit.blockedBy = failure.kind;
    if (fresh) this.#emitBlocked('cooled', grant, unit, failure, unit.gate.closedUntil);
    return isTooLarge;
  }

  #leaveUnit(grant: Grant, unit: Unit, failure: Failure, reaction: Reaction, now: number): void {
    const fresh = unit.gate.isOpen || unit.gate.isProbe(grant.at);
    unit.gate.close(now + Number(reaction.leaveMs), failure.message);
    unit.blockedBy = failure.kind;
    if (fresh) this.#emitBlocked('disabled', grant, unit, failure, unit.gate.closedUntil);
  }

  #disable(
    grant: Grant,
    culprit: PooledKey | KeyProject,
    reaction: Reaction,
    failure: Failure,
    now: number,
  ): void {
    // Calls that were in flight together fail together: only the first counts as a strike.
    if (!culprit.gate.isOpen && !culprit.gate.isProbe(grant.at)) return;
    culprit.strikes += 1;
    const forGood = culprit.strikes > reaction.probes;
    const until = forGood ? Number.POSITIVE_INFINITY : now + Number(reaction.leaveMs);
    culprit.gate.close(until, failure.message);
    this.#emitBlocked('disabled', grant, undefined, failure, until);
  }

  #pauseModel(lane: ModelLane, grant: Grant, reaction: Reaction, failure: Failure, now: number): void {
    const { breaker } = lane;
    let pauseMs: number | undefined;
    if (reaction.leaveMs === 'breaker') {
      pauseMs = breaker.fail(grant.at, now);
    } else {
      pauseMs = typeof reaction.leaveMs === 'number' ? reaction.leaveMs : (failure.retryAfterMs ?? 0) + 1_000;
    }
    if (pauseMs === undefined) return;
    breaker.gate.close(now + pauseMs * (0.75 + 0.25 * this.#random()), failure.message);
  }

  /** Opens the gates of those whom the call proved to be well. */
  #recovered(grant: Grant, unit: Unit, proven: readonly Reaction['blame'][], now: number): void {
    const { key, lane } = grant;
    if (proven.includes('model')) lane.breaker.succeed(grant.at, now);
    if (proven.includes('project-model') && unit.gate.open(grant.at)) {
      unit.blockedBy = undefined;
      this.#events.emit({ type: 'recovered', keyId: key.id, project: unit.project.name, model: unit.model });
    }
    for (const [scope, culprit] of [
      ['key', key],
      ['project', unit.project],
    ] as const) {
      if (!proven.includes(scope) || !culprit.gate.open(grant.at)) continue;
      culprit.strikes = 0;
      this.#events.emit({ type: 'recovered', keyId: key.id, project: unit.project.name });
    }
  }

  #emitBlocked(
    type: 'cooled' | 'disabled',
    grant: Grant,
    unit: Unit | undefined,
    failure: Failure,
    until: number,
  ): void {
    this.#events.emit({
      type,
      keyId: grant.key.id,
      project: grant.unit.current.project.name,
      ...(unit === undefined ? {} : { model: unit.model }),
      reason: failure.message,
      ...(until === Number.POSITIVE_INFINITY ? {} : { until }),
    });
  }
}

function isForQuota({ leaveMs }: Reaction): boolean {
  return leaveMs === 'rate' || leaveMs === 'day';
}

/** Whom a failed call nevertheless proved to be well: a refusal for its rate, say, was given to a valid key. */
export function provenBy(failure: Failure, sent: boolean): readonly Reaction['blame'][] {
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
