import type { Failure } from '../../core/failure.js';
import { isRejection } from '../health/failure-reaction.js';
import { HalfOpenGate } from '../health/half-open-gate.js';
import type { KeyProject } from '../health/pooled-key.js';
import type { QuotaLimits } from '../limit-rules.js';
import { partOfLimit } from './adaptive-limit.js';
import { CooldownWithoutHint } from './cooldown-without-hint.js';
import { DayCount } from './day-count.js';
import { GcraPace } from './gcra-pace.js';
import { InFlightCap } from './in-flight-cap.js';
import { LimitSet } from './limit-set.js';
import type { Booking, QuotaFacts, QuotaState } from './quota-state.js';
import { SlidingLog } from './sliding-log.js';
import { claimedUntil, claimSlot } from './slot-claim.js';

const minuteMs = 60_000;
/** Requests reach the server a little after they are booked here, and not all equally late. */
const initialMarginMs = 300;
const largestMarginMs = 3_000;
/** A refusal comes within this time; a probe that is still running then was admitted. */
const refusalArrivesWithinMs = 3_000;
const refusalUsuallyTakesMs = 250;
/** For how long a refusal that the log cannot explain brings back the in-flight cap. */
const distrustMs = 120_000;

/** The quota of one model in one project, which is how Gemini counts. */
export class ProjectModelQuota {
  readonly model: string;
  readonly project: KeyProject;
  readonly limits: LimitSet;
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
    this.limits = new LimitSet(limits);
    this.#maxInFlight = maxInFlight;
    this.#inFlightCap = new InFlightCap(maxInFlight);
  }

  /** The quota that is charged now. */
  get current(): ProjectModelQuota {
    return this.#absorbedBy?.current ?? this;
  }

  /** Calls that may run at once. Unknown limits are approached slowly; known ones need no cap. */
  inFlightCap(now: number): number {
    const most = partOfLimit(this.#maxInFlight, this.limits.processes);
    return this.limits.areKnown && now >= this.facts.distrustedUntil
      ? most
      : Math.min(this.#inFlightCap.value, most);
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
    return tokens <= this.limits.tpm.nominal;
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
    const maxTokens = this.limits.tpm.usable(now);
    // A request above the usable share but within the limit may run alone.
    const windowAt = this.log.freeAt(
      Math.min(tokens, maxTokens),
      this.limits.rpm.usable(now),
      maxTokens,
      now,
    );
    return Math.max(this.#passableAt(now, optimistic), windowAt);
  }

  /**
   * When a paced call may start. Estimated limits, and limits that other applications use too, give no
   * pace.
   */
  paceAllowsAt(now: number): number {
    const isKnown = this.limits.rpm.origin !== 'estimated' && now >= this.facts.distrustedUntil;
    return Math.max(isKnown ? this.#pace.allowsAt : 0, claimedUntil(this.facts, this.process));
  }

  /** Claims the slot at `at` for this process, if others use the quota too. */
  claim(at: number, paced: boolean, now: number): void {
    if (this.process !== undefined) claimSlot(this.facts, { by: this.process, at, paced }, now);
  }

  /** The part of the tightest limit that is unused: 1 is idle, 0 is full. */
  slack(now: number): number {
    const used = { rpm: this.log.requests(now), tpm: this.log.tokens(now), rpd: this.requestsToday(now) };
    // Calls sent before the first refusal has arrived are refused too, so another quota is tried first.
    const isRisky = this.limits.areUnknown && now < this.facts.bookedAt + refusalUsuallyTakesMs;
    const spareCalls = 1 - this.inFlight / this.inFlightCap(now);
    return Math.min(spareCalls - (isRisky ? 1 : 0), this.limits.slack(used, now));
  }

  /** How many calls of `meanTokens` could start by `at`; `Infinity` when the limits are unknown. */
  startsBy(at: number, meanTokens: number, now: number): number {
    if (this.#passableAt(now, true) > at) return 0;
    const windows = (at - now) / this.log.windowMs;
    const rpm = this.limits.rpm.usable(now);
    const tpm = this.limits.tpm.usable(now);
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
        learned?.tpm !== undefined
          ? this.limits.tpm.cut(used.tokens, now)
          : this.limits.rpm.cut(used.requests, now);
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
    this.limits.absorb(other.limits);
    const { blockedUntil, reason = '', why } = other.gate;
    if (why !== undefined) this.gate.block(blockedUntil, { kind: why, message: reason });
    if (isSame) return;
    other.#absorbedBy = this;
    this.ownInFlight += other.ownInFlight;
    this.othersInFlight += other.othersInFlight;
  }

  save(now: number): QuotaState {
    return {
      limits: this.limits.state,
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
    this.limits.state = state.limits;
    this.gate.load(state.gate);
    this.log.load(state.log, state.windowMs);
    this.#pace.state = state.pace;
    this.#day.state = state.day;
    this.#inFlightCap.cap = state.cap;
    this.#cooldownWithoutHint.refusals = state.refusals;
    this.facts = state.facts;
  }

  /** How long the quota of one request takes to come back, in the mean. */
  #requestMs(now: number): number {
    return this.log.windowMs / this.limits.rpm.usable(now);
  }

  #tokensMs(tokens: number, now: number): number {
    return (this.log.windowMs * tokens) / this.limits.tpm.usable(now);
  }

  #passableAt(now: number, optimistic: boolean): number {
    return Math.max(
      this.project.allowsAt(now, optimistic),
      this.gate.allowsAt(now, optimistic),
      this.#dayFreeAt(now),
    );
  }

  #dayFreeAt(now: number): number {
    const limit = this.limits.rpd.usable(now);
    if (limit === Number.POSITIVE_INFINITY) return 0;
    return this.requestsToday(now) < limit ? 0 : this.#day.endsAt(now);
  }
}
