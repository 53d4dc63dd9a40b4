import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { ClosedError, KeyPoolExhaustedError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
import type { PooledKey } from '../health/pooled-key.js';
import { KeyEvents } from '../key-events.js';
import type {
  KeyEvent,
  KeyLease,
  KeyPool,
  KeyPoolStats,
  KeyProbe,
  LeaseOutcome,
  LeaseRequest,
} from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { ProjectModelQuota, QuotaState } from '../quota/project-model-quota.js';
import { type DispatchActions, dispatch, expireWaiters } from './dispatch.js';
import { KeyProber } from './key-prober.js';
import { KeyRegistry } from './key-registry.js';
import type { ModelQueue } from './model-queue.js';
import { lostLease, OpenLeases } from './open-leases.js';
import { describePool, QueueWaits } from './pool-stats.js';
import { admit, type QueueLimits, refusal } from './queue-admission.js';
import { type ScheduledKeyPoolOptions, scheduledKeyPoolOptionsSchema } from './scheduled-key-pool-options.js';
import { type Grant, Settlement } from './settlement.js';
import { type Waiter, waitForLease } from './wait-queue.js';
import { WakeTimer } from './wake-timer.js';

/**
 * Schedules calls over keys by their quotas: requests and input tokens a minute and requests a day, per
 * project and model, configured or learned from refusals. A call that no quota admits yet waits in a fair
 * queue instead of being refused by the service.
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
  readonly #registry: KeyRegistry;
  readonly #settlement: Settlement;
  readonly #events: KeyEvents;
  readonly #prober: KeyProber;
  readonly #waits = new QueueWaits();
  readonly #timer: WakeTimer;
  readonly #queueLimits: QueueLimits;
  readonly #maxInFlight: number;
  readonly #maxLeaseMs: number;
  readonly #leases = new OpenLeases();
  #current: PooledKey | undefined;
  #isClosed = false;
  #isPumpDue = false;

  /** @throws ConfigurationError that names every option that is wrong or unknown. */
  constructor(options: ScheduledKeyPoolOptions) {
    const parsed = parseOptions(scheduledKeyPoolOptionsSchema, options, 'ScheduledKeyPool');
    this.#clock = parsed.clock;
    this.#events = new KeyEvents(this.#clock);
    this.#timer = new WakeTimer(this.#clock, () => this.#pump());
    this.#queueLimits = parsed;
    this.#maxInFlight = parsed.maxInFlight;
    this.#maxLeaseMs = parsed.maxLeaseMs;
    this.#registry = new KeyRegistry(parsed, this.#clock);
    this.#settlement = new Settlement(this.#registry, parsed.random);
    this.#registry.add(parsed.keys);
    this.#prober = new KeyProber({
      clock: this.#clock,
      registry: this.#registry,
      settlement: this.#settlement,
      events: this.#events,
      change: (_, run) => {
        for (const event of run(this.#clock.now())) this.#events.report(event);
        this.#pump();
        return undefined;
      },
    });
  }

  acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#isClosed) return Promise.reject(new ClosedError('key pool'));
    const now = this.#clock.now();
    const modelQueue = this.#registry.modelQueue(request.model);
    const resized = modelQueue.oversized.resize(request);
    const tokens = modelQueue.tokensFor(resized.estimatedTokens);
    modelQueue.noteDemand(resized, now);
    if (modelQueue.waiters.size === 0 && this.#leases.size < this.#maxInFlight) {
      const isPaced = modelQueue.isPaced(resized, Number.POSITIVE_INFINITY, now);
      const project = this.#registry.projectName(resized.project);
      const quota = modelQueue.choose(resized, project, tokens, now, undefined, isPaced);
      if (quota !== undefined) {
        this.#waits.add(0);
        return Promise.resolve(this.#grant(modelQueue, quota, resized, tokens, now));
      }
    }
    return this.#wait(modelQueue, resized, tokens, now, options?.signal);
  }

  stats(): Promise<KeyPoolStats> {
    return Promise.resolve(
      describePool(this.#registry, this.#waits, this.#current, this.#leases.size, this.#clock),
    );
  }

  secrets(): readonly string[] {
    return this.#registry.secrets();
  }

  onEvent(listener: (event: KeyEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  useProbe(probe: KeyProbe): () => void {
    return this.#prober.use(probe);
  }

  /**
   * Adds keys while calls run. Keys that the pool already has stay as they are.
   *
   * @throws ConfigurationError if a key is not valid.
   */
  addKeys(keys: readonly KeySpec[]): void {
    this.#registry.add(parseOptions(scheduledKeyPoolOptionsSchema.shape.keys, keys, 'addKeys'));
    this.#pump();
  }

  /** Removes the key with this masked id. Its calls in flight may finish. Returns whether the pool had it. */
  removeKey(id: string): boolean {
    const removed = this.#registry.remove(id);
    this.#pump();
    return removed;
  }

  /**
   * Takes over what another pool knows about a project and model.
   *
   * @internal
   */
  restore(model: string, project: string, state: QuotaState): void {
    const { quotas } = this.#registry.modelQueue(model);
    quotas.find((quota) => quota.project.name === project)?.load(state);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#prober.close();
    for (const modelQueue of this.#registry.modelQueues()) {
      for (const waiter of [...modelQueue.waiters.inServiceOrder()]) {
        modelQueue.waiters.remove(waiter);
        waiter.reject(new ClosedError('key pool'));
      }
    }
    this.#arm();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #wait(
    modelQueue: ModelQueue,
    request: LeaseRequest,
    tokens: number,
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<KeyLease> {
    const project = this.#registry.projectName(request.project);
    const asked = { since: request.since ?? now, deadline: request.deadline };
    const place = admit({ modelQueue, request, project, tokens }, asked, this.#queueLimits, now);
    if ('error' in place) return Promise.reject(place.error);
    return waitForLease({ request, tokens, ...place, enqueuedAt: now }, signal, {
      enqueue: (waiter) => {
        modelQueue.waiters.push(waiter);
        this.#pump();
      },
      leave: (waiter) => {
        modelQueue.waiters.remove(waiter);
        this.#pumpSoon();
      },
    });
  }

  #grant(
    modelQueue: ModelQueue,
    quota: ProjectModelQuota,
    request: LeaseRequest,
    tokens: number,
    now: number,
  ): KeyLease {
    const key = quota.project.pick(now);
    // `choose` returns only quotas whose project has a usable key.
    if (key === undefined) throw new KeyPoolExhaustedError('The project has no usable key.');
    const booking = quota.book(tokens, now);
    key.gate.enter(now);
    quota.project.gate.enter(now);
    modelQueue.breaker.gate.enter(now);
    quota.ownInFlight += 1;
    key.inFlight += 1;
    this.#current = key;
    const grant: Grant = { modelQueue, quota, key, booking, at: now, request };
    const open = {
      expiresAt: Math.max(now, request.deadline ?? now) + this.#maxLeaseMs,
      reclaim: () => this.#settle(grant, lostLease),
    };
    this.#leases.add(open);
    return {
      key: key.leased,
      settle: (outcome: LeaseOutcome) => {
        if (!this.#leases.delete(open)) return;
        this.#settle(grant, outcome);
        this.#pump();
      },
    };
  }

  #settle(grant: Grant, outcome: LeaseOutcome): void {
    const now = this.#clock.now();
    const observation = this.#settlement.observe(grant, outcome, now);
    for (const event of this.#settlement.apply(grant, outcome, observation, now)) this.#events.report(event);
  }

  /** Grants what is free, and sets the timer for the next slot or deadline. */
  #pump(): void {
    const now = this.#clock.now();
    this.#leases.reclaim(now);
    const projectOf = (request: LeaseRequest) => this.#registry.projectName(request.project);
    for (const modelQueue of this.#registry.modelQueues()) {
      if (modelQueue.waiters.size === 0) continue;
      const served: Waiter[] = [];
      const refused: { readonly waiter: Waiter; readonly error: Error }[] = [];
      const actions: DispatchActions = {
        hasRoom: () => this.#leases.size < this.#maxInFlight,
        projectOf,
        grant: (waiter, quota) => {
          served.push(waiter);
          this.#waits.add(now - waiter.enqueuedAt);
          waiter.grant(this.#grant(modelQueue, quota, waiter.request, waiter.tokens, now));
        },
        maxWaitMs: this.#queueLimits.maxWaitMs,
        refuse: (waiter, at) => {
          const { request, tokens, deadline } = waiter;
          const call = { modelQueue, request, project: projectOf(request), tokens };
          refused.push({ waiter, error: refusal(call, deadline, this.#queueLimits, now, at) });
        },
      };
      expireWaiters(modelQueue, now, actions);
      dispatch(modelQueue, now, actions);
      modelQueue.waiters.arrivals.clear();
      for (const waiter of served) modelQueue.waiters.take(waiter);
      for (const { waiter, error } of refused) if (modelQueue.waiters.remove(waiter)) waiter.reject(error);
    }
    this.#arm();
  }

  /** Dispatches once for all calls that are aborted together. */
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
    for (const modelQueue of this.#registry.modelQueues()) {
      if (modelQueue.waiters.size === 0) continue;
      wakeAt = Math.min(
        wakeAt,
        modelQueue.wakeAt,
        modelQueue.waiters.earliestDeadline,
        this.#leases.earliest,
      );
    }
    this.#timer.set(wakeAt);
  }
}
