import { type Clock, systemClock } from '../clock.js';
import { KeyPoolExhaustedError } from '../errors.js';
import type { CallOptions } from '../types.js';
import { exhausted, explainExhaustion } from './exhaustion.js';
import { KeyEvents } from './key-events.js';
import type { KeyEvent, KeyLease, KeyNeed, KeyPool, KeyPoolStats, LeaseOutcome } from './key-pool.js';
import { KeyRing } from './key-ring.js';
import type { KeySpec } from './key-spec.js';
import type { LimitRule } from './limit-rules.js';
import type { ModelLane } from './model-lane.js';
import { offerTurns } from './offer-turns.js';
import { lostLease, OpenLeases } from './open-leases.js';
import { describePool, QueueWaits } from './pool-stats.js';
import type { PooledKey } from './pooled-key.js';
import { type Grant, Settlement } from './settlement.js';
import type { Unit } from './unit.js';
import type { Waiter } from './wait-queue.js';
import { WakeTimer } from './wake-timer.js';

export interface ScheduledKeyPoolOptions {
  /** The keys, with their projects where known. Gemini counts quotas per project. */
  readonly keys: readonly KeySpec[];
  /** Known quotas. What is left out is learned from refusals, at the cost of a few of them. */
  readonly limits?: readonly LimitRule[] | undefined;
  /** How long a call without a deadline of its own waits for a key. Default 60,000. */
  readonly maxWaitMs?: number | undefined;
  /** Calls that may wait for one model. Default 10,000. */
  readonly maxQueueLength?: number | undefined;
  /** Calls that may run at once in one project with one model. Default 256. */
  readonly maxInFlightPerUnit?: number | undefined;
  /** Calls that may run at once altogether. Default 512. */
  readonly maxInFlight?: number | undefined;
  /**
   * A lease that was not settled so long after it was granted is taken for lost, and its place given
   * to another call. Default 900,000.
   */
  readonly maxLeaseMs?: number | undefined;
  /** Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** What is known from elsewhere about one project and model. */
export interface KnownUnit {
  readonly model: string;
  readonly project: string;
  readonly calls: readonly { readonly at: number; readonly tokens: number }[];
  readonly closedUntil?: number | undefined;
  readonly reason?: string | undefined;
}

/**
 * Schedules calls over keys by the quotas behind them: requests and input tokens a minute and requests
 * a day, per project and model, configured or learned from refusals. Calls that no quota admits yet
 * wait in a fair queue instead of being refused by the service.
 *
 * @example
 * ```ts
 * const keyPool = new ScheduledKeyPool({
 *   keys: [{ key: process.env.KEY_A ?? '', project: 'alpha' }, { key: process.env.KEY_B ?? '', project: 'beta' }],
 *   limits: [{ rpm: 10, tpm: 250_000 }, { project: 'beta', rpm: 1_000 }],
 * });
 * const lease = await keyPool.acquire({ model: 'gemini-3.8-flash', estimatedTokens: 500 });
 * ```
 */
export class ScheduledKeyPool implements KeyPool {
  readonly #clock: Clock;
  readonly #ring: KeyRing;
  readonly #settlement: Settlement;
  readonly #events = new KeyEvents();
  readonly #waits = new QueueWaits();
  readonly #timer: WakeTimer;
  readonly #maxWaitMs: number;
  readonly #maxQueueLength: number;
  readonly #maxInFlight: number;
  readonly #maxLeaseMs: number;
  readonly #leases = new OpenLeases();
  #current: PooledKey | undefined;
  #closed = false;

  constructor(options: ScheduledKeyPoolOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#timer = new WakeTimer(this.#clock, () => this.#pump());
    this.#maxWaitMs = options.maxWaitMs ?? 60_000;
    this.#maxQueueLength = options.maxQueueLength ?? 10_000;
    this.#maxInFlight = options.maxInFlight ?? 512;
    this.#maxLeaseMs = options.maxLeaseMs ?? 900_000;
    this.#ring = new KeyRing(options.limits ?? [], options.maxInFlightPerUnit ?? 256);
    this.#settlement = new Settlement(this.#ring, this.#events, options.random ?? Math.random);
    this.#ring.add(options.keys);
  }

  acquire(asked: KeyNeed, options?: CallOptions): Promise<KeyLease> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#closed) return Promise.reject(closedError());
    const now = this.#clock.now();
    const lane = this.#ring.lane(asked.model);
    const need = lane.oversized.resize(asked);
    const tokens = lane.tokensFor(need.estimatedTokens);
    if (lane.queue.size === 0 && this.#leases.size < this.#maxInFlight) {
      const unit = lane.choose(need, this.#ring.projectName(need.project), tokens, now);
      if (unit !== undefined) {
        this.#waits.add(0);
        return Promise.resolve(this.#grant(lane, unit, need, tokens, now));
      }
    }
    return this.#wait(lane, need, tokens, now, options?.signal);
  }

  stats(): Promise<KeyPoolStats> {
    return Promise.resolve(
      describePool(this.#ring, this.#waits, this.#current, this.#leases.size, this.#clock.now()),
    );
  }

  secrets(): readonly string[] {
    return this.#ring.secrets();
  }

  onEvent(listener: (event: KeyEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  /** Adds keys while calls run. Keys that are already there are left as they are. */
  addKeys(keys: readonly KeySpec[]): void {
    this.#ring.add(keys);
    this.#pump();
  }

  /** Takes out the key with this masked id. Its calls in flight may finish. Returns whether it was there. */
  removeKey(id: string): boolean {
    const removed = this.#ring.remove(id);
    this.#pump();
    return removed;
  }

  /**
   * Takes over what is known from elsewhere about one project and model: calls that count against its
   * minute, oldest first, and until when it is to be left alone.
   */
  restore(known: KnownUnit): void {
    const project = this.#ring.projectName(known.project);
    const unit = this.#ring.lane(known.model).units.find((candidate) => candidate.project.name === project);
    if (unit === undefined) return;
    for (const call of known.calls) unit.log.add(call.tokens, call.at);
    if (known.closedUntil !== undefined) unit.gate.close(known.closedUntil, known.reason ?? '');
    this.#pump();
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const lane of this.#ring.lanes()) {
      for (const waiter of [...lane.queue.inTurn()]) {
        lane.queue.remove(waiter);
        waiter.reject(closedError());
      }
    }
    this.#arm();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #wait(
    lane: ModelLane,
    need: KeyNeed,
    tokens: number,
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<KeyLease> {
    const since = need.since ?? now;
    const deadline =
      need.deadline === undefined ? now + this.#maxWaitMs : lane.latestStart(need, need.deadline, since, now);
    const project = this.#ring.projectName(need.project);
    const earliest = lane.earliest(need, project, tokens, now)?.at ?? Number.POSITIVE_INFINITY;
    if (earliest > deadline || deadline <= now || earliest === Number.POSITIVE_INFINITY) {
      return Promise.reject(this.#refuse(lane, need, earliest, now));
    }
    const ahead = lane.queue.ahead(need, since);
    const startAt = Math.max(earliest, lane.forecast(need, project, tokens, ahead, now));
    if (startAt > deadline) {
      const message = `${ahead} calls wait for ${need.model} already, more than its quotas admit before the deadline. Retry later, or add keys of further projects.`;
      return Promise.reject(exhausted(message, startAt, now));
    }
    if (lane.queue.size >= this.#maxQueueLength) {
      const victim = lane.queue.victimFor(need);
      const error = exhausted(`The queue for ${need.model} is full. Retry later.`, startAt, now);
      if (victim === undefined) return Promise.reject(error);
      lane.queue.remove(victim);
      victim.reject(error);
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        lane.queue.remove(waiter);
        reject(signal?.reason);
        this.#pump();
      };
      const waiter: Waiter = {
        need,
        tokens,
        since,
        enqueuedAt: now,
        deadline,
        grant: (lease) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(lease);
        },
        reject: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      lane.queue.push(waiter);
      this.#pump();
    });
  }

  #grant(lane: ModelLane, unit: Unit, need: KeyNeed, tokens: number, now: number): KeyLease {
    const key = unit.project.pick(now);
    // `choose` returns only units whose project has a usable key.
    if (key === undefined) throw new KeyPoolExhaustedError('The project has no usable key.');
    const booking = unit.book(tokens, now);
    key.gate.enter(now);
    unit.project.gate.enter(now);
    lane.breaker.gate.enter(now);
    key.inFlight += 1;
    this.#current = key;
    const grant: Grant = { lane, unit, key, booking, estimatedTokens: need.estimatedTokens, at: now, need };
    const open = {
      expiresAt: Math.max(now, need.deadline ?? now) + this.#maxLeaseMs,
      reclaim: () => this.#settlement.settle(grant, lostLease, this.#clock.now()),
    };
    this.#leases.add(open);
    return {
      key: key.leased,
      settle: (outcome: LeaseOutcome) => {
        if (!this.#leases.delete(open)) return;
        this.#settlement.settle(grant, outcome, this.#clock.now());
        this.#pump();
      },
    };
  }

  /** Gives out what is free, in turn, and sets the timer for the next slot or deadline. */
  #pump(): void {
    const now = this.#clock.now();
    this.#leases.reclaim(now);
    for (const lane of this.#ring.lanes()) {
      if (lane.queue.size === 0) continue;
      if (lane.queue.earliestDeadline <= now) this.#expire(lane, now);
      offerTurns(lane, now, {
        hasRoom: () => this.#leases.size < this.#maxInFlight,
        projectOf: (need) => this.#ring.projectName(need.project),
        grant: (waiter, unit) => {
          this.#waits.add(now - waiter.enqueuedAt);
          waiter.grant(this.#grant(lane, unit, waiter.need, waiter.tokens, now));
        },
        refuse: (waiter, at) => waiter.reject(this.#refuse(lane, waiter.need, at, now)),
      });
    }
    this.#arm();
  }

  #expire(lane: ModelLane, now: number): void {
    for (const waiter of lane.queue.expired(now)) {
      lane.queue.remove(waiter);
      const { need, tokens } = waiter;
      const ahead = lane.queue.ahead(need, now);
      const at = lane.forecast(need, this.#ring.projectName(need.project), tokens, ahead, now);
      waiter.reject(this.#refuse(lane, need, at, now));
    }
  }

  #refuse(lane: ModelLane, need: KeyNeed, at: number, now: number): KeyPoolExhaustedError {
    const message = explainExhaustion(lane, need, this.#ring.projectName(need.project), now);
    return exhausted(message, at, now);
  }

  #arm(): void {
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const lane of this.#ring.lanes()) {
      if (lane.queue.size === 0) continue;
      wakeAt = Math.min(wakeAt, lane.wakeAt, lane.queue.earliestDeadline, this.#leases.earliest);
    }
    this.#timer.set(wakeAt);
  }
}

function closedError(): KeyPoolExhaustedError {
  return new KeyPoolExhaustedError('The key pool is closed and grants no more keys.');
}
