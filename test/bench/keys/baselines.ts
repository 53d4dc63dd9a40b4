import type { Clock } from '../../../src/core/clock.js';
import type { LeaseOutcome, LeaseRequest } from '../../../src/keys/key-pool.js';
import type { LimitRule } from '../../../src/keys/limit-rules.js';
import type { RetryContext, RetryDecision, RetryPolicy } from '../../../src/retry/retry-policy.js';
import { PickingPool, type PlainKey } from './picking-pool.js';

const minuteMs = 60_000;

/** Stays with one key until a call with it fails, then goes on to the next. */
export class RotateOnError extends PickingPool {
  #current = 0;

  protected pick(): PlainKey | undefined {
    return this.keys[this.#current % this.keys.length];
  }

  protected ended(key: PlainKey, outcome: LeaseOutcome): void {
    if (!outcome.ok && this.pick() === key) this.#current += 1;
  }
}

/** Each call takes the next key. */
export class RoundRobin extends PickingPool {
  #next = 0;

  protected pick(): PlainKey | undefined {
    this.#next += 1;
    return this.keys[this.#next % this.keys.length];
  }

  protected ended(): void {
    // Learns nothing from the outcome.
  }
}

/** Each call takes any key. */
export class AnyKey extends PickingPool {
  readonly #random: () => number;

  constructor(keys: readonly PlainKey[], clock: Clock, random: () => number) {
    super(keys, clock);
    this.#random = random;
  }

  protected pick(): PlainKey | undefined {
    return this.keys[Math.floor(this.#random() * this.keys.length)];
  }

  protected ended(): void {
    // Learns nothing from the outcome.
  }
}

/** Each call takes the key that was used least often. */
export class LeastUsed extends PickingPool {
  readonly #uses = new Map<PlainKey, number>();

  protected pick(): PlainKey | undefined {
    const [key] = [...this.keys].sort((a, b) => (this.#uses.get(a) ?? 0) - (this.#uses.get(b) ?? 0));
    if (key !== undefined) this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
    return key;
  }

  protected ended(): void {
    // Learns nothing from the outcome.
  }
}

interface MinuteCount {
  minute: number;
  requests: number;
  tokens: number;
  coolUntil: number;
}

const coolDownMs = 5_000;

/**
 * As well-known routers do it: per project what the calls of this minute of the clock have cost, the
 * least used one first, and 5 s of rest after an error. Costs are counted when a call has ended.
 */
export class MinuteCounters extends PickingPool {
  readonly #limits: ReadonlyMap<string, LimitRule>;
  readonly #counts = new Map<string, MinuteCount>();

  constructor(keys: readonly PlainKey[], clock: Clock, limits: readonly LimitRule[]) {
    super(keys, clock);
    this.#limits = new Map(limits.map((rule) => [rule.project ?? '', rule]));
  }

  protected pick(request: LeaseRequest): PlainKey | undefined {
    let best: PlainKey | undefined;
    let leastUsed = 1;
    for (const key of this.keys) {
      const count = this.#count(key);
      const { rpm = 1, tpm = 1 } = this.#limits.get(key.project) ?? {};
      const used = Math.max((count.requests + 1) / rpm, (count.tokens + request.estimatedTokens) / tpm);
      if (count.coolUntil > this.clock.now() || used > leastUsed) continue;
      leastUsed = used;
      best = key;
    }
    if (best !== undefined) this.#count(best).requests += 1;
    return best;
  }

  protected ended(key: PlainKey, outcome: LeaseOutcome): void {
    const count = this.#count(key);
    if (outcome.ok) count.tokens += outcome.usage?.inputTokens ?? 0;
    else count.coolUntil = this.clock.now() + coolDownMs;
  }

  #count({ project }: PlainKey): MinuteCount {
    const minute = Math.floor(this.clock.now() / minuteMs);
    let count = this.#counts.get(project);
    if (count === undefined || count.minute !== minute) {
      count = { minute, requests: 0, tokens: 0, coolUntil: count?.coolUntil ?? 0 };
      this.#counts.set(project, count);
    }
    return count;
  }
}

/** A fixed number of attempts, at once or after a full-jitter delay that doubles from 1 s to 20 s. */
export class PlainRetry implements RetryPolicy {
  readonly #attempts: number;
  readonly #random: (() => number) | undefined;

  constructor(attempts: number, random?: () => number) {
    this.#attempts = attempts;
    this.#random = random;
  }

  next({ attempt, failure }: RetryContext): RetryDecision | undefined {
    if (attempt >= this.#attempts || failure.kind === 'blocked') return undefined;
    if (this.#random === undefined) return { delayMs: 0 };
    return { delayMs: this.#random() * Math.min(20_000, 1_000 * 2 ** (attempt - 1)) };
  }
}
