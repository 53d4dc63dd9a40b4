import { pacificDayEnd } from './pacific-day.js';

/** Requests of the current quota day, which ends at midnight in Los Angeles. */
export class DayCount {
  #end = 0;
  #requests = 0;

  /** When the day that contains `now` ends. */
  end(now: number): number {
    this.#roll(now);
    return this.#end;
  }

  requests(now: number): number {
    this.#roll(now);
    return this.#requests;
  }

  add(now: number): void {
    this.#roll(now);
    this.#requests += 1;
  }

  /** Takes back a request of the day that ends at `end`. */
  refund(end: number, now: number): void {
    this.#roll(now);
    if (end === this.#end) this.#requests = Math.max(0, this.#requests - 1);
  }

  /** Merges a count that turned out to be of the same quota. */
  absorb(other: DayCount): void {
    if (other.#end !== this.#end && this.#end !== 0) return;
    this.#end = other.#end;
    this.#requests += other.#requests;
  }

  #roll(now: number): void {
    if (now < this.#end) return;
    this.#end = pacificDayEnd(now);
    this.#requests = 0;
  }
}
