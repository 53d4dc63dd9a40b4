/**
 * How a quota per minute is counted. Gemini does not document which one it uses: `sliding` counts the last
 * 60 s, `fixed` restarts with every minute of the clock, `bucket` refills continuously.
 */
export type QuotaWindow = 'sliding' | 'fixed' | 'bucket';

/** Counts what was spent within a minute. */
export interface MinuteCounter {
  /** Milliseconds until `amount` fits; 0 if it fits now, `Infinity` if it never will. */
  waitMs(amount: number, nowMs: number): number;
  spend(amount: number, nowMs: number): void;
}

const minuteMs = 60_000;

export function createMinuteCounter(window: QuotaWindow, limit: number): MinuteCounter {
  if (window === 'fixed') return new FixedCounter(limit);
  return window === 'bucket' ? new BucketCounter(limit) : new SlidingCounter(limit);
}

class SlidingCounter implements MinuteCounter {
  readonly #limit: number;
  readonly #spent: { amount: number; atMs: number }[] = [];
  #first = 0;
  #total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  waitMs(amount: number, nowMs: number): number {
    this.#forget(nowMs);
    let excess = this.#total + amount - this.#limit;
    if (excess <= 0) return 0;
    for (let index = this.#first; index < this.#spent.length; index++) {
      const entry = this.#spent[index];
      excess -= entry?.amount ?? 0;
      if (entry && excess <= 0) return entry.atMs + minuteMs - nowMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  spend(amount: number, nowMs: number): void {
    this.#spent.push({ amount, atMs: nowMs });
    this.#total += amount;
  }

  #forget(nowMs: number): void {
    let entry = this.#spent[this.#first];
    while (entry && entry.atMs <= nowMs - minuteMs) {
      this.#total -= entry.amount;
      this.#first++;
      entry = this.#spent[this.#first];
    }
    if (this.#first > 1024) {
      this.#spent.splice(0, this.#first);
      this.#first = 0;
    }
  }
}

class FixedCounter implements MinuteCounter {
  readonly #limit: number;
  #minute = -1;
  #total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  waitMs(amount: number, nowMs: number): number {
    if (amount > this.#limit) return Number.POSITIVE_INFINITY;
    this.#startMinute(nowMs);
    return this.#total + amount <= this.#limit ? 0 : (this.#minute + 1) * minuteMs - nowMs;
  }

  spend(amount: number, nowMs: number): void {
    this.#startMinute(nowMs);
    this.#total += amount;
  }

  #startMinute(nowMs: number): void {
    const minute = Math.floor(nowMs / minuteMs);
    if (minute === this.#minute) return;
    this.#minute = minute;
    this.#total = 0;
  }
}

class BucketCounter implements MinuteCounter {
  readonly #limit: number;
  #level: number;
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = limit;
    this.#level = limit;
  }

  waitMs(amount: number, nowMs: number): number {
    if (amount > this.#limit) return Number.POSITIVE_INFINITY;
    this.#refill(nowMs);
    // A bucket refilled in many small steps may miss a whole unit by a rounding error.
    const missing = amount - this.#level - 1e-9 * this.#limit;
    return missing <= 0 ? 0 : (missing / this.#limit) * minuteMs;
  }

  spend(amount: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#level -= amount;
  }

  #refill(nowMs: number): void {
    this.#level = Math.min(this.#limit, this.#level + ((nowMs - this.#atMs) / minuteMs) * this.#limit);
    this.#atMs = nowMs;
  }
}
