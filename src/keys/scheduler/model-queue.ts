import type { LeaseRequest } from '../key-pool.js';
import { LatencyWindow } from '../quota/latency-window.js';
import { OversizedCalls } from '../quota/oversized-calls.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
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
  readonly quota: ProjectModelQuota;
  /** When the quota is free; in the past when it only waits for a call to end. */
  readonly at: number;
}

/** Everything about the calls to one model: where they can go and who waits. */
export class ModelQueue {
  readonly model: string;
  readonly breaker = new ModelBreaker();
  readonly waiters = new WaitQueue();
  readonly latencies = new LatencyWindow();
  readonly oversized = new OversizedCalls();
  quotas: readonly ProjectModelQuota[] = [];
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
  latestStart(request: LeaseRequest, deadline: number, since: number, now: number): number {
    return this.waiters.backlog(request) > this.longBacklog(now)
      ? this.startInTime(deadline, since)
      : deadline;
  }

  /** Until when a call has to start to be answered before its deadline. */
  startInTime(deadline: number, since: number): number {
    return deadline - Math.min(this.latencies.usualMs, mostForAnswer * Math.max(0, deadline - since));
  }

  /** Quotas that could ever take the call. */
  eligible(request: LeaseRequest, project: string | undefined): readonly ProjectModelQuota[] {
    return this.quotas.filter((quota) => isEligible(quota, request, project));
  }

  /** The free quota with most slack. */
  choose(
    request: LeaseRequest,
    project: string | undefined,
    tokens: number,
    now: number,
    reserved?: ReadonlySet<ProjectModelQuota>,
    paced = false,
  ): ProjectModelQuota | undefined {
    if (this.breaker.gate.allowsAt(now) > now) return undefined;
    let best: ProjectModelQuota | undefined;
    let mostSlack = Number.NEGATIVE_INFINITY;
    for (const quota of this.quotas) {
      if (!isEligible(quota, request, project) || reserved?.has(quota)) continue;
      if (paced && quota.paceAllowsAt(now) > now) continue;
      if (quota.isFull(now) || quota.freeAt(tokens, now) > now) continue;
      const slack = quota.slack(now);
      if (slack > mostSlack) {
        mostSlack = slack;
        best = quota;
      }
    }
    return best;
  }

  /** Where and when the call can go first, if nobody else wanted to; in-flight caps not considered. */
  earliest(
    request: LeaseRequest,
    project: string | undefined,
    tokens: number,
    now: number,
    reserved?: ReadonlySet<ProjectModelQuota>,
    paced = false,
  ): Slot | undefined {
    const opensAt = this.breaker.gate.allowsAt(now);
    let best: Slot | undefined;
    for (const quota of this.quotas) {
      if (!isEligible(quota, request, project) || reserved?.has(quota)) continue;
      const at = Math.max(opensAt, quota.freeAt(tokens, now), paced ? quota.paceAllowsAt(now) : 0);
      if (best === undefined || at < best.at) best = { quota, at };
    }
    return best;
  }

  /**
   * When the call could start at the earliest, if nobody else wanted to and the probes under way meet
   * nothing bad; `Infinity` when it never could.
   */
  couldStartAt(request: LeaseRequest, project: string | undefined, tokens: number, now: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const quota of this.quotas) {
      if (isEligible(quota, request, project)) earliest = Math.min(earliest, quota.freeAt(tokens, now, true));
    }
    return Math.max(this.breaker.gate.allowsAt(now, true), earliest);
  }

  /** Notes who asks, and so for whom room has to be left. */
  noteDemand(request: LeaseRequest, now: number): void {
    if (request.priority !== 'batch') this.#interactiveUntil = now + interactiveForMs;
    if ((request.tenant ?? defaultTenant) !== defaultTenant) this.#hasTenants = true;
  }

  /** Whether calls name whom they are for. */
  get hasTenants(): boolean {
    return this.#hasTenants;
  }

  /** Whether people asked just now, so that they may ask again at any moment. */
  hasInteractiveDemand(now: number): boolean {
    return now < this.#interactiveUntil;
  }

  /**
   * Whether calls like this one are served evenly, so that others find quota when they come: batch calls
   * with a long backlog or while people ask too, and the long backlog of one tenant beside others.
   */
  isPaced(request: LeaseRequest, longBacklog: number, now: number): boolean {
    const isBatch = request.priority === 'batch';
    if (isBatch && this.hasInteractiveDemand(now)) return true;
    return (isBatch || this.#hasTenants) && this.waiters.backlog(request) > longBacklog;
  }

  /** Backlogs that are longer than this are served evenly. */
  longBacklog(now: number): number {
    let callsPerMinute = 0;
    const meanTokens = this.waiters.meanTokens;
    for (const quota of this.quotas) {
      if (quota.project.keys.length > 0) callsPerMinute += quota.callsPerMinute(meanTokens, now);
    }
    return Math.max(1, callsPerMinute * pacedBacklog);
  }

  /** When a call with `ahead` others before it can be expected to start, from the quotas alone. */
  forecast(
    request: LeaseRequest,
    project: string | undefined,
    tokens: number,
    ahead: number,
    now: number,
  ): number {
    const meanTokens = (this.waiters.meanTokens * this.waiters.size + tokens) / (this.waiters.size + 1);
    const opensAt = this.breaker.gate.allowsAt(now, true);
    const quotas = this.eligible(request, project);
    const enoughBy = (at: number) => {
      let starts = 0;
      for (const quota of quotas) starts += quota.startsBy(at, meanTokens, now);
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

function isEligible(quota: ProjectModelQuota, request: LeaseRequest, project: string | undefined): boolean {
  if (quota.project.keys.length === 0 || quota.project.name === request.avoidProject) return false;
  return (project === undefined || quota.project.name === project) && quota.couldFit(request.estimatedTokens);
}
