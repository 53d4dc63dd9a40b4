import { pacificDayEnd } from './pacific-day.js';

/** Requests of the current quota day, which ends at midnight in Los Angeles. */
export class DayCount {
  state = { end: 0, requests: 0 };

  /** When the day that contains `now` ends. */
  end(now: number): number {
    this.#roll(now);
    return this.state.end;
  }

  requests(now: number): number {
    this.#roll(now);
    return this.state.requests;
  }

  add(now: number): void {
    this.#roll(now);
    this.state.requests += 1;
  }

  /** Takes back a request of the day that ends at `end`. */
  refund(end: number, now: number): void {
    this.#roll(now);
    if (end === this.state.end) this.state.requests = Math.max(0, this.state.requests - 1);
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
    if (now < this.state.end) return;
    this.state.end = pacificDayEnd(now);
    this.state.requests = 0;
  }
}
