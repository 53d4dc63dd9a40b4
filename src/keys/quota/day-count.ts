import { pacificDayEnd } from './pacific-day.js';

/** No day is longer, not even the one on which summer time ends. */
const longestDayMs = 25 * 3_600_000;

/** Requests of the current quota day, which ends at midnight in Los Angeles by the date. */
export class DayCount {
  /** `end` is a date, which names the day. */
  state = { end: 0, requests: 0 };
  readonly #aheadMs: () => number;

  /** @param aheadMs By how much the date is ahead of the `now` of each call. */
  constructor(aheadMs: () => number) {
    this.#aheadMs = aheadMs;
  }

  /** The day that contains `now`. */
  day(now: number): number {
    this.#roll(now);
    return this.state.end;
  }

  /** When the day that contains `now` ends. */
  endsAt(now: number): number {
    return this.day(now) - this.#aheadMs();
  }

  requests(now: number): number {
    this.#roll(now);
    return this.state.requests;
  }

  add(now: number): void {
    this.#roll(now);
    this.state.requests += 1;
  }

  /** Takes back a request of `day`. */
  refund(day: number, now: number): void {
    this.#roll(now);
    if (day === this.state.end) this.state.requests = Math.max(0, this.state.requests - 1);
  }

  /**
   * Merges a count of the same quota.
   *
   * @param isSame Whether it counted the same calls.
   */
  absorb(other: DayCount, isSame = false): void {
    if (other.state.end !== this.state.end && this.state.end !== 0) return;
    this.state.end = other.state.end;
    const { requests } = other.state;
    this.state.requests = isSame ? Math.max(this.state.requests, requests) : this.state.requests + requests;
  }

  #roll(now: number): void {
    const date = now + this.#aheadMs();
    const { end } = this.state;
    if (date < end && end - date <= longestDayMs) return;
    this.state.end = pacificDayEnd(date);
    // If the system's clock was set back, it is still the same day.
    if (date >= end) this.state.requests = 0;
  }
}
