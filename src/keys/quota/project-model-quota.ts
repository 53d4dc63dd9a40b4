import type { Failure, FailureKind } from '../../core/failure.js';
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
/** After a refusal that the ledger cannot explain calls are sent in small numbers again. */
export const distrustMs = 120_000;

/** What a call has booked on a quota. */
export interface Booking {
  readonly entry: LogEntry;
  readonly dayEnd: number;
}

/** One model in one project: what Gemini counts quotas by. */
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
  /** Which quota closed the gate. */
  blockedBy: FailureKind | undefined;
  /** When the latest call that was answered had been granted. */
  answeredAt = Number.NEGATIVE_INFINITY;
  /** When the service last said that the quota of the day is used up. */
  dayRefusedAt = Number.NEGATIVE_INFINITY;
  readonly #day = new DayCount();
  readonly #inFlightCap: InFlightCap;
  readonly #cooldownWithoutHint = new CooldownWithoutHint();
  /** Until when the ledger is not trusted alone, because the service refused what it admitted. */
  #distrustedUntil = 0;
  #bookedAt = Number.NEGATIVE_INFINITY;
  /** Since when the ledger is kept. */
  #openedAt: number | undefined;
  readonly #maxInFlight: number;
  /** The quota that this one turned out to be. */
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

  /** Where the ledger is kept now. */
  get current(): ProjectModelQuota {
    return this.#absorbedBy?.current ?? this;
  }

  /** Calls that may run at once. Unknown limits are approached carefully, known ones guard themselves. */
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

  /** Whether the quota's whole minute could ever hold so many tokens. */
  couldFit(tokens: number): boolean {
    return tokens <= this.tpm.nominal;
  }

  /** When the quota day ends. */
  dayEnd(now: number): number {
    return this.#day.end(now);
  }

  /** Whether the daily quota is used up, by our own count or by what the service said. */
  isOverDay(now: number): boolean {
    return this.#dayFreeAt(now) > now || (this.blockedBy === 'daily-quota' && this.gate.allowsAt(now) > now);
  }

  /**
   * When keys, quotas and cooling allow a call with so many tokens; `Infinity` when they never do.
   * `optimistic` takes it that the probes under way meet nothing bad.
   */
  freeAt(tokens: number, now: number, optimistic = false): number {
    const maxTokens = this.tpm.usable(now);
    // A request above the usable share but within the limit may go when it goes alone.
    const windowAt = this.log.freeAt(Math.min(tokens, maxTokens), this.rpm.usable(now), maxTokens, now);
    return Math.max(this.#passableAt(now, optimistic), windowAt);
  }

  /**
   * When a call that gives way to others may start, as far as the even spread of calls goes. Limits
   * that are guessed, or used by others too, give no pace: what is left of them is taken as it comes.
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
    // What is sent before the first refusal has come back is refused too: rather try another quota first.
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
    // In what is known of the log the slots come in bursts, later on at the mean rate.
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

  /** Replaces the estimate of a call by what it really cost. */
  amend(booking: Booking, tokens: number, now: number): void {
    this.#pace.correct(0, this.#tokensMs(tokens - booking.entry.tokens, now));
    this.log.amend(booking.entry, tokens, now);
  }

  /** Takes back what was booked for a call that cost no quota. */
  refund(booking: Booking, now: number): void {
    this.#pace.correct(-this.#requestMs(now), -this.#tokensMs(booking.entry.tokens, now));
    this.log.refund(booking.entry, now);
    this.#day.refund(booking.dayEnd, now);
  }

  /** A call that was granted at `grantedAt` got through. */
  succeed(grantedAt: number): void {
    this.answeredAt = Math.max(this.answeredAt, grantedAt);
    this.#cooldownWithoutHint.reset();
    this.#inFlightCap.succeed(this.inFlight);
  }

  /** Takes over the limits that a refusal named. Returns whether any was news. */
  learn(learned: Failure['learned']): boolean {
    let news = false;
    if (learned?.rpm !== undefined) news = this.rpm.learn(learned.rpm) || news;
    if (learned?.tpm !== undefined) news = this.tpm.learn(learned.tpm) || news;
    if (learned?.rpd !== undefined) news = this.rpd.learn(learned.rpd) || news;
    return news;
  }

  /**
   * The service refused a call for its rate. Returns how long to leave the quota alone, without
   * jitter. The refused call must have been refunded. `blamesCall` says that the limits request not be
   * cut, because the call was too large for them.
   */
  refused(failure: Failure, bookedAt: number, now: number, blamesCall = false): number {
    const fresh = this.gate.isHealthy || this.gate.isProbe(bookedAt);
    const { learned, retryAfterMs } = failure;
    // A ledger younger than the window does not know what was used before, by a former process say.
    const isComplete = this.#openedAt !== undefined && this.#openedAt + this.log.windowMs <= now;
    if (fresh && isComplete && !blamesCall) {
      // What was sent after the refused call says nothing about what the service had admitted by then.
      const used = this.log.before(bookedAt, now);
      const isCut =
        learned?.tpm !== undefined ? this.tpm.cut(used.tokens, now) : this.rpm.cut(used.requests, now);
      if (isCut) this.#distrustedUntil = now + distrustMs;
    }
    if (detectFixedWindow(failure, this.log, this.inFlight, now)) this.log.clear();
    if (fresh) {
      this.#inFlightCap.cut(this.inFlight);
      if (retryAfterMs !== undefined && retryAfterMs < 1_000) {
        this.log.windowMs = Math.min(minuteMs + largestMarginMs, this.log.windowMs + initialMarginMs);
      }
    }
    // Gemini truncates retryDelay to whole seconds.
    if (retryAfterMs !== undefined) return retryAfterMs + 1_000;
    return this.#cooldownWithoutHint.next(fresh, this.log, now);
  }

  /** Takes over the ledger of a quota that turned out to be this one. */
  absorb(other: ProjectModelQuota): void {
    other.#absorbedBy = this;
    this.log.absorb(other.log);
    this.inFlight += other.inFlight;
    this.#day.absorb(other.#day);
    for (const metric of ['rpm', 'tpm', 'rpd'] as const) this[metric].absorb(other[metric]);
    if (!other.gate.isHealthy) this.gate.block(other.gate.blockedUntil, other.gate.reason ?? '');
  }

  /** How long it takes until the quota of one request comes back, in the mean. */
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
