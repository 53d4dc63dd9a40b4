import type { AbortOptions } from '../../core/abort.js';
import { type Clock, systemClock } from '../../core/clock.js';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { PooledKey } from '../health/pooled-key.js';
import { KeyEvents } from '../key-events.js';
import type { KeyEvent, KeyLease, KeyPool, KeyPoolStats, LeaseOutcome, LeaseRequest } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { Unit } from '../quota/project-model-quota.js';
import { expireTurns, offerTurns, type TurnActions } from './dispatch.js';
import { KeyRing } from './key-registry.js';
import type { ModelLane } from './model-queue.js';
import { lostLease, OpenLeases } from './open-leases.js';
import { describePool, QueueWaits } from './pool-stats.js';
import { admit, type QueueLimits, refusal } from './queue-admission.js';
import type { KnownUnit, ScheduledKeyPoolOptions } from './scheduled-key-pool-options.js';
import { type Grant, Settlement } from './settlement.js';
import type { Waiter } from './wait-queue.js';
import { WakeTimer } from './wake-timer.js';

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
  readonly #queueLimits: QueueLimits;
  readonly #maxInFlight: number;
  readonly #maxLeaseMs: number;
  readonly #leases = new OpenLeases();
  #current: PooledKey | undefined;
  #closed = false;
  #isPumpDue = false;

  constructor(options: ScheduledKeyPoolOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#timer = new WakeTimer(this.#clock, () => this.#pump());
    const { maxWaitMs = 60_000, maxQueueLength = 10_000 } = options;
    this.#queueLimits = { maxWaitMs, maxQueueLength };
    this.#maxInFlight = options.maxInFlight ?? 512;
    this.#maxLeaseMs = options.maxLeaseMs ?? 900_000;
    this.#ring = new KeyRing(options.limits ?? [], options.maxInFlightPerUnit ?? 256);
    this.#settlement = new Settlement(this.#ring, this.#events, options.random ?? Math.random, true);
    this.#ring.add(options.keys);
  }

  acquire(asked: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#closed) return Promise.reject(closedError());
    const now = this.#clock.now();
    const lane = this.#ring.lane(asked.model);
    const need = lane.oversized.resize(asked);
    const tokens = lane.tokensFor(need.estimatedTokens);
    lane.ask(need, now);
    if (lane.queue.size === 0 && this.#leases.size < this.#maxInFlight) {
      const isPaced = lane.isPaced(need, Number.POSITIVE_INFINITY, now);
      const project = this.#ring.projectName(need.project);
      const unit = lane.choose(need, project, tokens, now, undefined, isPaced);
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
    need: LeaseRequest,
    tokens: number,
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<KeyLease> {
    const project = this.#ring.projectName(need.project);
    const admission = admit({ lane, need, project, tokens }, this.#queueLimits, now);
    if ('error' in admission) return Promise.reject(admission.error);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        lane.queue.remove(waiter);
        reject(signal?.reason);
        this.#pumpSoon();
      };
      const waiter: Waiter = {
        need,
        tokens,
        ...admission,
        enqueuedAt: now,
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

  #grant(lane: ModelLane, unit: Unit, need: LeaseRequest, tokens: number, now: number): KeyLease {
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
    const projectOf = (need: LeaseRequest) => this.#ring.projectName(need.project);
    for (const lane of this.#ring.lanes()) {
      if (lane.queue.size === 0) continue;
      const actions: TurnActions = {
        hasRoom: () => this.#leases.size < this.#maxInFlight,
        projectOf,
        grant: (waiter, unit) => {
          this.#waits.add(now - waiter.enqueuedAt);
          waiter.grant(this.#grant(lane, unit, waiter.need, waiter.tokens, now));
        },
        refuse: ({ need, reject }, at) => reject(refusal(lane, need, projectOf(need), at, now)),
      };
      expireTurns(lane, now, actions);
      offerTurns(lane, now, actions);
    }
    this.#arm();
  }

  /** Callers who hang up together are waited for, so that one of them does not wait for the others. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    queueMicrotask(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
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
