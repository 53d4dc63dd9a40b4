import type { Failure, FailureKind } from '../../core/failure.js';
import { isRejection } from '../health/failure-reaction.js';
import { HalfOpenGate } from '../health/half-open-gate.js';
import type { KeyProject } from '../health/pooled-key.js';
import type { QuotaLimits } from '../limit-rules.js';
import { AdaptiveLimit } from './adaptive-limit.js';
import { CooldownWithoutHint } from './cooldown-without-hint.js';
import { DayCount } from './day-count.js';
import { detectFixedWindow } from './detect-fixed-window.js';
import { GcraPace } from './gcra-pace.js';
import { InFlightCap } from './in-flight-cap.js';
import { type LogEntry, SlidingLog } from './sliding-log.js';

const minuteMs = 60_000;
/** Requests reach the server a little after they are booked here, and not all equally late. */
export const initialMarginMs = 300;
export const largestMarginMs = 3_000;
/** A refusal comes within this time; a probe that is still running then was admitted. */
export const refusalArrivesWithinMs = 3_000;
export const refusalUsuallyTakesMs = 250;
/** For how long a refusal that the log cannot explain brings back the in-flight cap. */
export const distrustMs = 120_000;

/** What a call has charged to a quota. */
export interface Booking {
  readonly entry: LogEntry;
  readonly dayEnd: number;
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
  inFlight = 0;
  /** The kind of the failure that blocked the gate. */
  blockedBy: FailureKind | undefined;
  /** When the latest successful call had been granted. */
  answeredAt = Number.NEGATIVE_INFINITY;
  /** When the service last refused a call for the daily quota. */
  dayRefusedAt = Number.NEGATIVE_INFINITY;
  readonly #day = new DayCount();
  readonly #inFlightCap: InFlightCap;
  readonly #cooldownWithoutHint = new CooldownWithoutHint();
  /** Until when the log is not trusted alone, because the service refused what it had admitted. */
  #distrustedUntil = 0;
  #bookedAt = Number.NEGATIVE_INFINITY;
  /** When the first call was charged. */
  #openedAt: number | undefined;
  readonly #maxInFlight: number;
  /** The quota that this one was merged into. */
  #absorbedBy: ProjectModelQuota | undefined;

  constructor(model: string, project: KeyProject, limits: QuotaLimits, maxInFlight: number) {
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
    return isKnown && now >= this.#distrustedUntil ? this.#maxInFlight : this.#inFlightCap.value;
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
    return this.project.allowsAt(now) > now || (isRejection(this.blockedBy) && this.gate.allowsAt(now) > now);
  }

  /** When the quota day ends. */
  dayEnd(now: number): number {
    return this.#day.end(now);
  }

  /** Whether the daily quota is used up, by our own count or by a refusal. */
  isOverDay(now: number): boolean {
    return this.#dayFreeAt(now) > now || (this.blockedBy === 'daily-quota' && this.gate.allowsAt(now) > now);
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
    const isKnown = this.rpm.origin !== 'estimated' && now >= this.#distrustedUntil;
    return isKnown ? this.#pace.allowsAt : 0;
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
    if (isUnknown && now < this.#bookedAt + refusalUsuallyTakesMs) slack -= 1;
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

  book(tokens: number, now: number): Booking {
    this.gate.enter(now);
    this.#openedAt ??= now;
    this.#bookedAt = now;
    this.inFlight += 1;
    this.#day.add(now);
    this.#pace.add(this.#requestMs(now), this.#tokensMs(tokens, now), now);
    return { entry: this.log.add(tokens, now), dayEnd: this.#day.end(now) };
  }

  /** Replaces the estimate of a call by its real cost. */
  amend(booking: Booking, tokens: number, now: number): void {
    this.#pace.correct(0, this.#tokensMs(tokens - booking.entry.tokens, now));
    this.log.amend(booking.entry, tokens, now);
  }

  /** Takes back the charge of a call that cost no quota. */
  refund(booking: Booking, now: number): void {
    this.#pace.correct(-this.#requestMs(now), -this.#tokensMs(booking.entry.tokens, now));
    this.log.refund(booking.entry, now);
    this.#day.refund(booking.dayEnd, now);
  }

  /** The call granted at `grantedAt` succeeded. */
  succeed(grantedAt: number): void {
    this.answeredAt = Math.max(this.answeredAt, grantedAt);
    this.#cooldownWithoutHint.reset();
    this.#inFlightCap.succeed(this.inFlight);
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
    const isComplete = this.#openedAt !== undefined && this.#openedAt + this.log.windowMs <= now;
    if (isNews && isComplete && !blamesCall) {
      // Only calls sent before the refused one show what the service had admitted by then.
      const used = this.log.before(bookedAt, now);
      const isCut =
        learned?.tpm !== undefined ? this.tpm.cut(used.tokens, now) : this.rpm.cut(used.requests, now);
      if (isCut) this.#distrustedUntil = now + distrustMs;
    }
    if (detectFixedWindow(failure, this.log, this.inFlight, now)) this.log.clear();
    if (isNews) {
      this.#inFlightCap.cut(this.inFlight);
      if (retryAfterMs !== undefined && retryAfterMs < 1_000) {
        this.log.windowMs = Math.min(minuteMs + largestMarginMs, this.log.windowMs + initialMarginMs);
      }
    }
    // Gemini truncates retryDelay to whole seconds.
    if (retryAfterMs !== undefined) return retryAfterMs + 1_000;
    return this.#cooldownWithoutHint.next(isNews, this.log, now);
  }

  /** Merges a quota that turned out to be this one. */
  absorb(other: ProjectModelQuota): void {
    other.#absorbedBy = this;
    this.log.absorb(other.log);
    this.inFlight += other.inFlight;
    this.#day.absorb(other.#day);
    for (const metric of ['rpm', 'tpm', 'rpd'] as const) this[metric].absorb(other[metric]);
    if (!other.gate.isHealthy) this.gate.block(other.gate.blockedUntil, other.gate.reason ?? '');
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
    return this.requestsToday(now) < limit ? 0 : this.#day.end(now);
  }
}
