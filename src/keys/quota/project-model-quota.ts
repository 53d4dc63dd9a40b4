import type { Failure } from '../../core/failure.js';
import { isRejection } from '../health/failure-reaction.js';
import { type GateState, HalfOpenGate } from '../health/half-open-gate.js';
import type { KeyProject } from '../health/pooled-key.js';
import type { QuotaLimits } from '../limit-rules.js';
import { AdaptiveLimit, type LimitState } from './adaptive-limit.js';
import { CooldownWithoutHint } from './cooldown-without-hint.js';
import { DayCount } from './day-count.js';
import { GcraPace } from './gcra-pace.js';
import { InFlightCap } from './in-flight-cap.js';
import { SlidingLog } from './sliding-log.js';

const minuteMs = 60_000;
/** Requests reach the server a little after they are booked here, and not all equally late. */
const initialMarginMs = 300;
const largestMarginMs = 3_000;
/** A refusal comes within this time; a probe that is still running then was admitted. */
const refusalArrivesWithinMs = 3_000;
const refusalUsuallyTakesMs = 250;
/** For how long a refusal that the log cannot explain brings back the in-flight cap. */
const distrustMs = 120_000;

/** A claim on the next slot of a quota, by the process that waits for it. */
interface Claim {
  readonly by: string;
  readonly at: number;
  readonly paced: boolean;
}

/** How long after a slot comes free the process that waits for it may still claim it. */
const claimMs = 100;
/** Claims are renewed at least this often, because a process may die. */
const longestClaimMs = 1_000;

/** What a call has charged to a quota. */
export interface Booking {
  readonly at: number;
  readonly tokens: number;
  /** The quota day to which it is charged. */
  readonly day: number;
  /** Tokens of the minute that were used before. */
  readonly usedTokens: number;
}

/** What is known of a quota besides its parts, as plain data. */
interface QuotaFacts {
  /** When the latest successful call had been granted. */
  answeredAt: number;
  /** When the service last refused a call for the daily quota. */
  dayRefusedAt: number;
  /** Until when the log is not trusted alone, because the service refused what it had admitted. */
  distrustedUntil: number;
  bookedAt: number;
  /** When the first call was charged. */
  openedAt?: number | undefined;
  claim?: Claim | undefined;
  /** The process that started the latest paced call. */
  pacedBy?: string | undefined;
}

/** A quota as plain data, calls in flight left out. */
export interface QuotaState {
  readonly limits: { readonly rpm: LimitState; readonly tpm: LimitState; readonly rpd: LimitState };
  readonly gate?: GateState | undefined;
  readonly windowMs: number;
  readonly log: readonly number[];
  readonly pace: GcraPace['state'];
  readonly day: DayCount['state'];
  readonly cap: number;
  readonly refusals: number;
  readonly facts: QuotaFacts;
}

/** The quota of one model in one project, which is how Gemini counts. */
export class ProjectModelQuota {
  readonly model: string;
  readonly project: KeyProject;
  readonly rpm: AdaptiveLimit;
  readonly tpm: AdaptiveLimit;
  readonly rpd: AdaptiveLimit;
  readonly gate = new HalfOpenGate(refusalArrivesWithinMs);
  readonly log = new SlidingLog(minuteMs + initialMarginMs);
  readonly #pace = new GcraPace();
  /** Calls of this process that run. */
  ownInFlight = 0;
  /** Calls of other processes that run. */
  othersInFlight = 0;
  facts: QuotaFacts = { answeredAt: 0, dayRefusedAt: 0, distrustedUntil: 0, bookedAt: 0 };
  /** This process, if others use the quota too. */
  process: string | undefined;
  readonly #day: DayCount;
  readonly #inFlightCap: InFlightCap;
  readonly #cooldownWithoutHint = new CooldownWithoutHint();
  readonly #maxInFlight: number;
  /** The quota that this one was merged into. */
  #absorbedBy: ProjectModelQuota | undefined;

  /** @param wallAheadMs By how much the date is ahead of the `now` of each call. */
  constructor(
    model: string,
    project: KeyProject,
    limits: QuotaLimits,
    maxInFlight: number,
    wallAheadMs: () => number = () => 0,
  ) {
    this.#day = new DayCount(wallAheadMs);
    this.model = model;
    this.project = project;
    this.rpm = new AdaptiveLimit(limits.rpm);
    this.tpm = new AdaptiveLimit(limits.tpm);
    this.rpd = new AdaptiveLimit(limits.rpd);
    this.#maxInFlight = maxInFlight;
    this.#inFlightCap = new InFlightCap(maxInFlight);
  }

  /** The quota that is charged now. */
  get current(): ProjectModelQuota {
    return this.#absorbedBy?.current ?? this;
  }

  /** Calls that may run at once. Unknown limits are approached slowly; known ones need no cap. */
  inFlightCap(now: number): number {
    const isKnown = this.rpm.origin !== 'unknown' && this.tpm.origin !== 'unknown';
    return isKnown && now >= this.facts.distrustedUntil ? this.#maxInFlight : this.#inFlightCap.value;
  }

  /** Calls that run, in all processes. */
  get inFlight(): number {
    return this.ownInFlight + this.othersInFlight;
  }

  isFull(now: number): boolean {
    return this.inFlight >= this.inFlightCap(now);
  }

  requestsToday(now: number): number {
    return this.#day.requests(now);
  }

  /** Whether `tokens` fit into a whole minute. */
  couldFit(tokens: number): boolean {
    return tokens <= this.tpm.nominal;
  }

  /**
   * Whether the service rejects every key of the project, or the model for it. Such a quota is used again
   * once a probe has succeeded, and no call waits for that.
   */
  isRejected(now: number): boolean {
    return this.project.allowsAt(now) > now || (isRejection(this.gate.why) && this.gate.allowsAt(now) > now);
  }

  /** The quota day that contains `now`. */
  day(now: number): number {
    return this.#day.day(now);
  }

  /** When the quota day ends. */
  dayEnd(now: number): number {
    return this.#day.endsAt(now);
  }

  /** Whether the daily quota is used up, by our own count or by a refusal. */
  isOverDay(now: number): boolean {
    return this.#dayFreeAt(now) > now || (this.gate.why === 'daily-quota' && this.gate.allowsAt(now) > now);
  }

  /**
   * When keys, limits and cool-downs allow a call of `tokens` tokens; `Infinity` when they never do.
   *
   * @param optimistic Assumes that the probes under way succeed.
   */
  freeAt(tokens: number, now: number, optimistic = false): number {
    const maxTokens = this.tpm.usable(now);
    // A request above the usable share but within the limit may run alone.
    const windowAt = this.log.freeAt(Math.min(tokens, maxTokens), this.rpm.usable(now), maxTokens, now);
    return Math.max(this.#passableAt(now, optimistic), windowAt);
  }

  /**
   * When a paced call may start. Estimated limits, and limits that other applications use too, give no
   * pace.
   */
  paceAllowsAt(now: number): number {
    const isKnown = this.rpm.origin !== 'estimated' && now >= this.facts.distrustedUntil;
    return Math.max(isKnown ? this.#pace.allowsAt : 0, this.#claimedUntil());
  }

  /**
   * Claims the slot at `at`, so that this process has had time to ask again when it comes free. Claims of
   * paced calls yield to unpaced calls of other processes, and alternate with their paced calls.
   */
  claim(at: number, paced: boolean, now: number): void {
    const { claim: other, pacedBy } = this.facts;
    if (this.process === undefined) return;
    const isTaken = other !== undefined && other.at > now && other.by !== this.process;
    if (isTaken && !(other.paced && (!paced || other.by === pacedBy))) return;
    this.facts.claim = { by: this.process, at: Math.min(at, now + longestClaimMs) + claimMs, paced };
  }

  /** Calls a minute that the limits admit; `Infinity` when they are unknown. */
  callsPerMinute(meanTokens: number, now: number): number {
    return Math.min(this.rpm.usable(now), this.tpm.usable(now) / Math.max(1, meanTokens));
  }

  /** The part of the tightest limit that is unused: 1 is idle, 0 is full. */
  slack(now: number): number {
    let slack = 1 - this.inFlight / this.inFlightCap(now);
    const isUnknown = this.rpm.origin === 'unknown' && this.tpm.origin === 'unknown';
    // Calls sent before the first refusal has arrived are refused too, so another quota is tried first.
    if (isUnknown && now < this.facts.bookedAt + refusalUsuallyTakesMs) slack -= 1;
    const rpm = this.rpm.usable(now);
    if (rpm < Number.POSITIVE_INFINITY) slack = Math.min(slack, 1 - this.log.requests(now) / rpm);
    const tpm = this.tpm.usable(now);
    if (tpm < Number.POSITIVE_INFINITY) slack = Math.min(slack, 1 - this.log.tokens(now) / tpm);
    const rpd = this.rpd.usable(now);
    if (rpd < Number.POSITIVE_INFINITY) slack = Math.min(slack, 1 - this.requestsToday(now) / rpd);
    return slack;
  }

  /** How many calls of `meanTokens` could start by `at`; `Infinity` when the limits are unknown. */
  startsBy(at: number, meanTokens: number, now: number): number {
    if (this.#passableAt(now, true) > at) return 0;
    const windows = (at - now) / this.log.windowMs;
    const rpm = this.rpm.usable(now);
    const tpm = this.tpm.usable(now);
    // Slots come in the bursts of the log first, and later at the mean rate.
    const byRequests =
      rpm * (1 + Math.floor(windows)) - this.log.requests(now) + this.log.requestsLeavingBy(at);
    const byTokens = (tpm * (1 + windows) - this.log.tokens(now)) / Math.max(1, meanTokens);
    return Math.max(0, Math.min(byRequests, byTokens));
  }

  book(tokens: number, now: number, paced = false): Booking {
    this.gate.enter(now);
    this.facts.openedAt ??= now;
    this.facts.bookedAt = now;
    if (this.facts.claim?.by === this.process) this.facts.claim = undefined;
    if (paced) this.facts.pacedBy = this.process;
    this.#day.add(now);
    this.#pace.add(this.#requestMs(now), this.#tokensMs(tokens, now), now);
    const usedTokens = this.log.tokens(now);
    return { at: this.log.add(tokens, now), tokens, day: this.#day.day(now), usedTokens };
  }

  /** Charges a call that was made while the quota was not at hand. */
  bookEarlier({ at, tokens, day }: Booking, now: number): void {
    this.log.insert(at, 1, tokens, now);
    if (day === this.#day.day(now)) this.#day.add(now);
  }

  /** Replaces the estimate of a call by its real cost. */
  amend(booking: Booking, tokens: number, now: number): void {
    this.#pace.correct(0, this.#tokensMs(tokens - booking.tokens, now));
    this.log.correct(booking.at, 0, tokens - booking.tokens, now);
  }

  /** Takes back the charge of a call that cost no quota. */
  refund(booking: Booking, now: number): void {
    this.#pace.correct(-this.#requestMs(now), -this.#tokensMs(booking.tokens, now));
    this.log.correct(booking.at, -1, -booking.tokens, now);
    this.#day.refund(booking.day, now);
  }

  /** The call granted at `grantedAt` succeeded while `inFlight` others ran. */
  succeed(grantedAt: number, inFlight: number): void {
    this.facts.answeredAt = Math.max(this.facts.answeredAt, grantedAt);
    this.#cooldownWithoutHint.reset();
    this.#inFlightCap.succeed(inFlight);
  }

  /** Learns the limits that a refusal named. Returns whether any was new. */
  learn(learned: Failure['learned']): boolean {
    let news = false;
    if (learned?.rpm !== undefined) news = this.rpm.learn(learned.rpm) || news;
    if (learned?.tpm !== undefined) news = this.tpm.learn(learned.tpm) || news;
    if (learned?.rpd !== undefined) news = this.rpd.learn(learned.rpd) || news;
    return news;
  }

  /**
   * The service refused a call for its rate, and the call has been refunded. Returns the cool-down in
   * milliseconds, without jitter.
   *
   * @param blamesCall Whether the call was too large for the limits, so that they are not cut.
   */
  refused(failure: Failure, bookedAt: number, now: number, blamesCall = false): number {
    const isNews = this.gate.isNews(bookedAt);
    const { learned, retryAfterMs } = failure;
    // A log younger than the window misses what was used before, for example by a former process.
    const isComplete = this.facts.openedAt !== undefined && this.facts.openedAt + this.log.windowMs <= now;
    if (isNews && isComplete && !blamesCall) {
      // Only calls sent before the refused one show what the service had admitted by then.
      const used = this.log.before(bookedAt, now);
      const isCut =
        learned?.tpm !== undefined ? this.tpm.cut(used.tokens, now) : this.rpm.cut(used.requests, now);
      if (isCut) this.facts.distrustedUntil = now + distrustMs;
    }
    if (isNews) {
      this.#inFlightCap.cut(this.inFlight);
      if (retryAfterMs !== undefined && retryAfterMs < 1_000) {
        this.log.widen(Math.min(minuteMs + largestMarginMs, this.log.windowMs + initialMarginMs), now);
      }
    }
    // Gemini truncates retryDelay to whole seconds.
    if (retryAfterMs !== undefined) return retryAfterMs + 1_000;
    return this.#cooldownWithoutHint.next(isNews, this.log, now);
  }

  /**
   * Merges a quota that turned out to be this one.
   *
   * @param isSame Whether it is an older copy of this one, which counted the same calls.
   */
  absorb(other: ProjectModelQuota, now: number, isSame = false): void {
    this.log.absorb(other.log, now, isSame);
    this.#day.absorb(other.#day, isSame);
    for (const metric of ['rpm', 'tpm', 'rpd'] as const) this[metric].absorb(other[metric]);
    const { blockedUntil, reason = '', why } = other.gate;
    if (why !== undefined) this.gate.block(blockedUntil, { kind: why, message: reason });
    if (isSame) return;
    other.#absorbedBy = this;
    this.ownInFlight += other.ownInFlight;
    this.othersInFlight += other.othersInFlight;
  }

  save(now: number): QuotaState {
    return {
      limits: { rpm: this.rpm.state, tpm: this.tpm.state, rpd: this.rpd.state },
      gate: this.gate.save(),
      windowMs: this.log.windowMs,
      log: this.log.save(now),
      pace: this.#pace.state,
      day: this.#day.state,
      cap: this.#inFlightCap.cap,
      refusals: this.#cooldownWithoutHint.refusals,
      facts: this.facts,
    };
  }

  /** Takes over a saved state, which then belongs to this quota. */
  load(state: QuotaState): void {
    for (const metric of ['rpm', 'tpm', 'rpd'] as const) this[metric].state = state.limits[metric];
    this.gate.load(state.gate);
    this.log.load(state.log, state.windowMs);
    this.#pace.state = state.pace;
    this.#day.state = state.day;
    this.#inFlightCap.cap = state.cap;
    this.#cooldownWithoutHint.refusals = state.refusals;
    this.facts = state.facts;
  }

  #claimedUntil(): number {
    const { claim, pacedBy } = this.facts;
    if (claim === undefined || claim.by === this.process) return 0;
    return claim.paced && pacedBy !== this.process ? 0 : claim.at;
  }

  /** How long the quota of one request takes to come back, in the mean. */
  #requestMs(now: number): number {
    return this.log.windowMs / this.rpm.usable(now);
  }

  #tokensMs(tokens: number, now: number): number {
    return (this.log.windowMs * tokens) / this.tpm.usable(now);
  }

  #passableAt(now: number, optimistic: boolean): number {
    return Math.max(
      this.project.allowsAt(now, optimistic),
      this.gate.allowsAt(now, optimistic),
      this.#dayFreeAt(now),
    );
  }

  #dayFreeAt(now: number): number {
    const limit = this.rpd.usable(now);
    if (limit === Number.POSITIVE_INFINITY) return 0;
    return this.requestsToday(now) < limit ? 0 : this.#day.endsAt(now);
  }
}
