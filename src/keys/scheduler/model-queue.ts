import type { LeaseRequest } from '../key-pool.js';
import { AnswerTimes } from '../quota/latency-window.js';
import { OversizedCalls } from '../quota/oversized-calls.js';
import type { Unit } from '../quota/project-model-quota.js';
import { ModelBreaker } from './model-breaker.js';
import { defaultTenant, WaitQueue } from './wait-queue.js';

/** Estimates are booked at least so much too high until the real usage is known. */
const smallestReserve = 0.05;
const largestReserve = 0.5;
/** How fast the estimates follow the real usage. */
const correctionRate = 0.05;
const longestForecastMs = 3_600_000;
/** A backlog of more than this part of what the quotas admit a minute is served evenly. */
export const pacedBacklog = 1 / 12;
/** People who asked within this time may ask again at any moment. */
const interactiveForMs = 60_000;
/** At most this part of a caller's patience is kept free for the answer itself. */
const mostForAnswer = 0.25;

export interface Slot {
  readonly unit: Unit;
  /** When the unit is free; in the past when it only waits for a call to end. */
  readonly at: number;
}

/** Everything about the calls to one model: where they can go and who waits. */
export class ModelLane {
  readonly model: string;
  readonly breaker = new ModelBreaker();
  readonly queue = new WaitQueue();
  readonly answers = new AnswerTimes();
  readonly oversized = new OversizedCalls();
  units: readonly Unit[] = [];
  /** The earliest slot that somebody waits for. */
  wakeAt = Number.POSITIVE_INFINITY;
  /** Real usage per estimated token, in the mean, and the mean square by which calls differ from it. */
  #tokenScale = 1;
  #tokenVariance = 0;
  #interactiveUntil = 0;
  /** Whether calls name whom they are for. */
  #hasTenants = false;

  constructor(model: string) {
    this.model = model;
  }

  /** What to book for a call. */
  tokensFor(estimatedTokens: number): number {
    const reserve = Math.min(largestReserve, Math.max(smallestReserve, Math.sqrt(this.#tokenVariance)));
    return Math.ceil(estimatedTokens * this.#tokenScale * (1 + reserve));
  }

  /** Learns from what a call really cost. */
  correct(estimatedTokens: number, inputTokens: number): void {
    if (estimatedTokens <= 0 || inputTokens <= 0) return;
    const ratio = Math.min(4, Math.max(0.25, inputTokens / estimatedTokens));
    const deviation = ratio - this.#tokenScale;
    this.#tokenScale += correctionRate * deviation;
    this.#tokenVariance += correctionRate * (deviation ** 2 - this.#tokenVariance);
  }

  /**
   * Until when a call waits. In a long backlog everybody would get a key at the last moment, hang up
   * before the answer is whole, and the quota would be lost: there the answer gets its time.
   */
  latestStart(need: LeaseRequest, deadline: number, since: number, now: number): number {
    return this.queue.backlog(need) > this.longBacklog(now) ? this.startInTime(deadline, since) : deadline;
  }

  /** Until when a call has to start to be answered before its deadline. */
  startInTime(deadline: number, since: number): number {
    return deadline - Math.min(this.answers.usualMs, mostForAnswer * Math.max(0, deadline - since));
  }

  /** Units that could ever take the call. */
  eligible(need: LeaseRequest, project: string | undefined): readonly Unit[] {
    return this.units.filter((unit) => isEligible(unit, need, project));
  }

  /** The free unit with most slack. */
  choose(
    need: LeaseRequest,
    project: string | undefined,
    tokens: number,
    now: number,
    reserved?: ReadonlySet<Unit>,
    paced = false,
  ): Unit | undefined {
    if (this.breaker.gate.opensAt(now) > now) return undefined;
    let best: Unit | undefined;
    let mostSlack = Number.NEGATIVE_INFINITY;
    for (const unit of this.units) {
      if (!isEligible(unit, need, project) || reserved?.has(unit)) continue;
      if (paced && unit.paceOpensAt(now) > now) continue;
      if (unit.isFull(now) || unit.freeAt(tokens, now) > now) continue;
      const slack = unit.slack(now);
      if (slack > mostSlack) {
        mostSlack = slack;
        best = unit;
      }
    }
    return best;
  }

  /** Where and when the call can go first, if nobody else wanted to; in-flight caps not considered. */
  earliest(
    need: LeaseRequest,
    project: string | undefined,
    tokens: number,
    now: number,
    reserved?: ReadonlySet<Unit>,
    paced = false,
  ): Slot | undefined {
    const opensAt = this.breaker.gate.opensAt(now);
    let best: Slot | undefined;
    for (const unit of this.units) {
      if (!isEligible(unit, need, project) || reserved?.has(unit)) continue;
      const at = Math.max(opensAt, unit.freeAt(tokens, now), paced ? unit.paceOpensAt(now) : 0);
      if (best === undefined || at < best.at) best = { unit, at };
    }
    return best;
  }

  /**
   * When the call could start at the earliest, if nobody else wanted to and the probes under way meet
   * nothing bad; `Infinity` when it never could.
   */
  couldStartAt(need: LeaseRequest, project: string | undefined, tokens: number, now: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const unit of this.units) {
      if (isEligible(unit, need, project)) earliest = Math.min(earliest, unit.freeAt(tokens, now, true));
    }
    return Math.max(this.breaker.gate.opensAt(now, true), earliest);
  }

  /** Notes who asks, and so for whom room has to be left. */
  ask(need: LeaseRequest, now: number): void {
    if (need.priority !== 'batch') this.#interactiveUntil = now + interactiveForMs;
    if ((need.tenant ?? defaultTenant) !== defaultTenant) this.#hasTenants = true;
  }

  /** Whether calls name whom they are for. */
  get hasTenants(): boolean {
    return this.#hasTenants;
  }

  /** Whether people asked just now, so that they may ask again at any moment. */
  isAskedByPeople(now: number): boolean {
    return now < this.#interactiveUntil;
  }

  /**
   * Whether calls like this one are served evenly, so that others find quota when they come: batch calls
   * with a long backlog or while people ask too, and the long backlog of one tenant beside others.
   */
  isPaced(need: LeaseRequest, longBacklog: number, now: number): boolean {
    const isBatch = need.priority === 'batch';
    if (isBatch && this.isAskedByPeople(now)) return true;
    return (isBatch || this.#hasTenants) && this.queue.backlog(need) > longBacklog;
  }

  /** Backlogs that are longer than this are served evenly. */
  longBacklog(now: number): number {
    let callsPerMinute = 0;
    const meanTokens = this.queue.meanTokens;
    for (const unit of this.units) {
      if (unit.project.keys.length > 0) callsPerMinute += unit.callsPerMinute(meanTokens, now);
    }
    return Math.max(1, callsPerMinute * pacedBacklog);
  }

  /** When a call with `ahead` others before it can be expected to start, from the quotas alone. */
  forecast(
    need: LeaseRequest,
    project: string | undefined,
    tokens: number,
    ahead: number,
    now: number,
  ): number {
    const meanTokens = (this.queue.meanTokens * this.queue.size + tokens) / (this.queue.size + 1);
    const opensAt = this.breaker.gate.opensAt(now, true);
    const units = this.eligible(need, project);
    const enoughBy = (at: number) => {
      let starts = 0;
      for (const unit of units) starts += unit.startsBy(at, meanTokens, now);
      return at >= opensAt && starts > ahead;
    };
    if (enoughBy(now)) return now;
    let early = now;
    let late = now + longestForecastMs;
    if (!enoughBy(late)) return Number.POSITIVE_INFINITY;
    while (late - early > 1) {
      const middle = Math.floor((early + late) / 2);
      if (enoughBy(middle)) late = middle;
      else early = middle;
    }
    return late;
  }
}

function isEligible(unit: Unit, need: LeaseRequest, project: string | undefined): boolean {
  if (unit.project.keys.length === 0 || unit.project.name === need.avoidProject) return false;
  return (project === undefined || unit.project.name === project) && unit.couldFit(need.estimatedTokens);
}
