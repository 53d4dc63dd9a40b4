import { isRejection } from '../health/failure-reaction.js';
import type { LeaseRequest } from '../key-pool.js';
import { LatencyWindow } from '../quota/latency-window.js';
import { OversizedCalls } from '../quota/oversized-calls.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { ModelBreaker } from './model-breaker.js';
import { defaultTenant, WaitQueue } from './wait-queue.js';

/** Bounds of the share by which an estimate is charged too high until the real usage is known. */
const smallestReserve = 0.05;
const largestReserve = 0.5;
/** How fast estimates follow the real usage. */
const correctionRate = 0.05;
const longestForecastMs = 3_600_000;
/** A backlog above this share of the calls a minute that the quotas admit is long. */
const pacedBacklog = 1 / 12;
/** For how long after an interactive call another one is expected. */
const interactiveForMs = 60_000;
/** Largest share of the time to the deadline that is kept for the answer. */
const largestAnswerShare = 0.25;

/** The calls to the same model that other processes have. */
export interface PeerDemand {
  /** Calls in the backlog of this one. */
  backlog(model: string, request: LeaseRequest): number;
  /** Whether there are interactive calls, or calls of several tenants. */
  demands(model: string, kind: 'people' | 'tenants'): boolean;
  /** Calls that are served in all processes while `own` ones of this process are: the processes take turns. */
  everywhere(own: number): number;
}

export interface Slot {
  readonly quota: ProjectModelQuota;
  /** When the quota is free; in the past when only its in-flight cap is in the way. */
  readonly at: number;
}

/** The calls to one model: the quotas that can serve them, and the calls that wait. */
export class ModelQueue {
  readonly model: string;
  readonly breaker = new ModelBreaker();
  readonly waiters = new WaitQueue();
  readonly latencies = new LatencyWindow();
  readonly oversized = new OversizedCalls();
  quotas: readonly ProjectModelQuota[] = [];
  /** When the earliest slot comes free that a call waits for. */
  wakeAt = Number.POSITIVE_INFINITY;
  /** Mean of the real tokens per estimated token, and its variance. */
  #tokenScale = 1;
  #tokenVariance = 0;
  #interactiveUntil = 0;
  #hasTenants = false;
  readonly wallAheadMs: () => number;
  readonly #peers: PeerDemand | undefined;

  /** @param wallAheadMs By how much the date is ahead of the `now` of each call. */
  constructor(model: string, wallAheadMs: () => number, peers?: PeerDemand) {
    this.model = model;
    this.wallAheadMs = wallAheadMs;
    this.#peers = peers;
  }

  /** The tokens to charge for a call. */
  tokensFor(estimatedTokens: number): number {
    const reserve = Math.min(largestReserve, Math.max(smallestReserve, Math.sqrt(this.#tokenVariance)));
    return Math.ceil(estimatedTokens * this.#tokenScale * (1 + reserve));
  }

  /** Learns from the real usage of a call. */
  correct(estimatedTokens: number, inputTokens: number): void {
    if (estimatedTokens <= 0 || inputTokens <= 0) return;
    const ratio = Math.min(4, Math.max(0.25, inputTokens / estimatedTokens));
    const deviation = ratio - this.#tokenScale;
    this.#tokenScale += correctionRate * deviation;
    this.#tokenVariance += correctionRate * (deviation ** 2 - this.#tokenVariance);
  }

  /**
   * Until when a call waits. In a long backlog every call would start just before its deadline and be
   * aborted before its answer is whole, so there the deadline leaves time for the answer.
   */
  latestStart(request: LeaseRequest, deadline: number, since: number, now: number): number {
    return this.#backlog(request) > this.longBacklog(now) ? this.startInTime(deadline, since) : deadline;
  }

  /** The latest start of a call that is to be answered before its deadline. */
  startInTime(deadline: number, since: number): number {
    return deadline - Math.min(this.latencies.usualMs, largestAnswerShare * Math.max(0, deadline - since));
  }

  /** The quotas that could ever serve the call. */
  eligible(request: LeaseRequest, project: string | undefined): readonly ProjectModelQuota[] {
    return this.quotas.filter((quota) => isEligible(quota, request, project));
  }

  /** The free quota with the most slack. */
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

  /** The first slot for the call if no other call waited, in-flight caps not considered. */
  earliest(
    request: LeaseRequest,
    project: string | undefined,
    tokens: number,
    now: number,
    reserved?: ReadonlySet<ProjectModelQuota>,
    paced = false,
  ): Slot | undefined {
    const allowsAt = this.breaker.gate.allowsAt(now);
    let best: Slot | undefined;
    for (const quota of this.quotas) {
      if (!isEligible(quota, request, project) || reserved?.has(quota)) continue;
      const at = Math.max(allowsAt, quota.freeAt(tokens, now), paced ? quota.paceAllowsAt(now) : 0);
      if (best === undefined || at < best.at) best = { quota, at };
    }
    return best;
  }

  /**
   * When the call could start at the earliest, if no other call waited and the probes under way succeed;
   * `Infinity` when it never could, or when the service rejects all keys or the model, or has not been
   * reached for long.
   */
  couldStartAt(request: LeaseRequest, project: string | undefined, tokens: number, now: number): number {
    const { gate } = this.breaker;
    const isHopeless = isRejection(gate.why) || this.breaker.isUnreachable(now);
    if (isHopeless && gate.allowsAt(now) > now) return Number.POSITIVE_INFINITY;
    let earliest = Number.POSITIVE_INFINITY;
    for (const quota of this.quotas) {
      if (!isEligible(quota, request, project) || quota.isRejected(now)) continue;
      earliest = Math.min(earliest, quota.freeAt(tokens, now, true));
    }
    return Math.max(gate.allowsAt(now, true), earliest);
  }

  /** Notes that interactive calls, or calls of a tenant, come in. */
  noteDemand(request: LeaseRequest, now: number): void {
    if (request.priority !== 'batch') this.#interactiveUntil = now + interactiveForMs;
    if ((request.tenant ?? defaultTenant) !== defaultTenant) this.#hasTenants = true;
  }

  /** What other processes have to know: an interactive call within the last minute, and calls of several tenants. */
  ownDemand(now: number): readonly ('people' | 'tenants')[] {
    const people = now < this.#interactiveUntil ? (['people'] as const) : [];
    return this.#hasTenants ? [...people, 'tenants'] : people;
  }

  /** How many calls are served before this one would be, in all processes. */
  ahead(request: LeaseRequest, since: number): number {
    const own = this.waiters.ahead(request, since);
    return this.#peers?.everywhere(own) ?? own;
  }

  /**
   * Whether the call is paced, so that other calls find quota when they come: a batch call in a long
   * backlog or beside interactive calls, and a call in the long backlog of one tenant beside others.
   */
  isPaced(request: LeaseRequest, longBacklog: number, now: number): boolean {
    const isBatch = request.priority === 'batch';
    const isInteractive = now < this.#interactiveUntil || this.#peers?.demands(this.model, 'people');
    if (isBatch && isInteractive) return true;
    const hasTenants = this.#hasTenants || this.#peers?.demands(this.model, 'tenants');
    return (isBatch || hasTenants === true) && this.#backlog(request) > longBacklog;
  }

  #backlog(request: LeaseRequest): number {
    return this.waiters.backlog(request) + (this.#peers?.backlog(this.model, request) ?? 0);
  }

  /** The size above which a backlog is long. */
  longBacklog(now: number): number {
    let callsPerMinute = 0;
    const meanTokens = this.waiters.meanTokens;
    for (const quota of this.quotas) {
      if (quota.project.keys.length > 0) callsPerMinute += quota.limits.callsPerMinute(meanTokens, now);
    }
    return Math.max(1, callsPerMinute * pacedBacklog);
  }

  /** When a call with `ahead` calls before it is expected to start, judged by the quotas alone. */
  forecast(
    request: LeaseRequest,
    project: string | undefined,
    tokens: number,
    ahead: number,
    now: number,
  ): number {
    const meanTokens = (this.waiters.meanTokens * this.waiters.size + tokens) / (this.waiters.size + 1);
    const allowsAt = this.breaker.gate.allowsAt(now, true);
    const quotas = this.eligible(request, project);
    const enoughBy = (at: number) => {
      let starts = 0;
      for (const quota of quotas) starts += quota.startsBy(at, meanTokens, now);
      return at >= allowsAt && starts > ahead;
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
