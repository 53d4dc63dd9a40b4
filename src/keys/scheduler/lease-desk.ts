import type { Clock } from '../../core/clock.js';
import type { KeyPoolExhaustedError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
import type { PooledKey } from '../health/pooled-key.js';
import { KeyEvents } from '../key-events.js';
import type { KeyEvent, KeyLease, KeyPoolStats, LeaseOutcome, LeaseRequest } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { Grant } from './grant.js';
import { KeyProber } from './key-prober.js';
import { KeyRegistry, type KeyRegistryOptions } from './key-registry.js';
import type { ModelQueue, PeerDemand } from './model-queue.js';
import { lostLease, OpenLeases, unusedLease } from './open-leases.js';
import { describePool, QueueWaits } from './pool-stats.js';
import { admit, type QueuedRequest, type QueueLimits, refusal } from './queue-admission.js';
import { scheduledKeyPoolOptionsSchema } from './scheduled-key-pool-options.js';
import { Settlement } from './settlement.js';
import { type Waiter, waitForLease } from './wait-queue.js';

export interface LeasingOptions extends KeyRegistryOptions, QueueLimits {
  readonly keys: readonly KeySpec[];
  readonly maxLeaseMs: number;
  readonly random: () => number;
}

/** What a pool does with its calls. */
export interface Dispatcher {
  /** Offers free quota to the calls that wait. */
  wake(): void;
  enqueue(modelQueue: ModelQueue, waiter: Waiter): void;
  /** The caller has aborted. */
  leave(modelQueue: ModelQueue, waiter: Waiter): void;
  /** The call has ended. */
  settle(grant: Grant, outcome: LeaseOutcome): void;
  /** Changes the state of keys, and emits the events that `run` returns. */
  change(model: string | undefined, run: (now: number) => readonly KeyEvent[]): Promise<void> | undefined;
}

/** What the pools have in common: keys, queues, leases, events and statistics. */
export class LeaseDesk {
  /** Tells the time of the quotas. */
  readonly clock: Clock;
  readonly registry: KeyRegistry;
  readonly settlement: Settlement;
  readonly events: KeyEvents;
  readonly prober: KeyProber;
  readonly leases = new OpenLeases();
  readonly #dispatcher: Dispatcher;
  readonly #options: LeasingOptions;
  readonly #waits = new QueueWaits();
  #current: PooledKey | undefined;

  /** @param date By which the day of a quota is counted, if not by `clock`. */
  constructor(
    options: LeasingOptions,
    dispatcher: Dispatcher,
    clock: Clock,
    date = clock,
    peers?: PeerDemand,
  ) {
    this.#options = options;
    this.#dispatcher = dispatcher;
    this.clock = clock;
    this.events = new KeyEvents(clock);
    this.registry = new KeyRegistry(options, date, peers);
    this.registry.add(options.keys);
    this.settlement = new Settlement(this.registry, options.random);
    this.prober = new KeyProber({
      clock,
      registry: this.registry,
      settlement: this.settlement,
      events: this.events,
      change: (model, run) => dispatcher.change(model, run),
    });
  }

  stats(): KeyPoolStats {
    return describePool(this.registry, this.#waits, this.#current, this.leases.size, this.clock);
  }

  /** @throws ConfigurationError if a key is not valid. */
  addKeys(keys: readonly KeySpec[]): void {
    this.registry.add(parseOptions(scheduledKeyPoolOptionsSchema.shape.keys, keys, 'addKeys'));
    this.#dispatcher.wake();
  }

  removeKey(id: string): boolean {
    const removed = this.registry.remove(id);
    this.#dispatcher.wake();
    return removed;
  }

  prepare(given: LeaseRequest, now: number): QueuedRequest {
    this.leases.reclaim(now);
    const modelQueue = this.registry.modelQueue(given.model);
    const request = modelQueue.oversized.resize(given);
    modelQueue.noteDemand(request, now);
    return this.#call(modelQueue, request, modelQueue.tokensFor(request.estimatedTokens));
  }

  /** Queues a call until a lease is granted. */
  wait(call: QueuedRequest, since: number, now: number, signal: AbortSignal | undefined): Promise<KeyLease> {
    const { modelQueue, request, tokens } = call;
    const place = admit(call, since, this.#options, now);
    if ('error' in place) return Promise.reject(place.error);
    return waitForLease({ request, tokens, ...place, enqueuedAt: now }, signal, {
      enqueue: (waiter) => this.#dispatcher.enqueue(modelQueue, waiter),
      leave: (waiter) => this.#dispatcher.leave(modelQueue, waiter),
    });
  }

  lease(grant: Grant, { enqueuedAt }: Pick<Waiter, 'enqueuedAt'>): KeyLease {
    const now = this.clock.now();
    this.#current = grant.key;
    this.#waits.add(now - enqueuedAt);
    const open = {
      expiresAt: Math.max(now, grant.request.deadline ?? now) + this.#options.maxLeaseMs,
      reclaim: () => this.#dispatcher.settle(grant, lostLease),
    };
    this.leases.add(open);
    return {
      key: grant.key.leased,
      settle: (outcome) => {
        if (!this.leases.delete(open)) return;
        this.leases.reclaim(this.clock.now());
        this.#dispatcher.settle(grant, outcome);
      },
    };
  }

  /** Gives back a grant whose caller has left. */
  release(grant: Grant): void {
    this.#dispatcher.settle(grant, unusedLease);
  }

  /** The error of a waiting call that cannot be served before `at`. */
  refusal(
    modelQueue: ModelQueue,
    { deadline, request, tokens }: Waiter,
    now: number,
    at: number | undefined,
  ): KeyPoolExhaustedError {
    return refusal(this.#call(modelQueue, request, tokens), deadline, this.#options, now, at);
  }

  #call(modelQueue: ModelQueue, request: LeaseRequest, tokens: number): QueuedRequest {
    return { modelQueue, request, project: this.registry.projectName(request.project), tokens };
  }
}
