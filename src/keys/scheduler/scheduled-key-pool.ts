import type { AbortOptions } from '../../core/abort.js';
import { ClosedError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
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
import { type DispatchActions, dispatch } from './dispatch.js';
import { type Grant, openGrant } from './grant.js';
import { type Dispatcher, LeaseDesk } from './lease-desk.js';
import type { ModelQueue } from './model-queue.js';
import { type ScheduledKeyPoolOptions, scheduledKeyPoolOptionsSchema } from './scheduled-key-pool-options.js';
import type { Waiter } from './wait-queue.js';
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
  readonly #desk: LeaseDesk;
  readonly #timer: WakeTimer;
  readonly #maxWaitMs: number;
  readonly #maxInFlight: number;
  #isWakeDue = false;
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong or unknown. */
  constructor(options: ScheduledKeyPoolOptions) {
    const parsed = parseOptions(scheduledKeyPoolOptionsSchema, options, 'ScheduledKeyPool');
    this.#timer = new WakeTimer(parsed.clock, () => this.#wake());
    this.#maxWaitMs = parsed.maxWaitMs;
    this.#maxInFlight = parsed.maxInFlight;
    const dispatcher: Dispatcher = {
      wake: () => this.#wake(),
      enqueue: ({ waiters }, waiter) => {
        waiters.push(waiter);
        this.#wake();
      },
      leave: ({ waiters }, waiter) => {
        waiters.remove(waiter);
        this.#wakeSoon();
      },
      settle: (grant, outcome) => this.#settle(grant, outcome),
      change: (_, run) => this.#change(run),
    };
    this.#desk = new LeaseDesk(parsed, dispatcher, parsed.clock);
  }

  acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#isClosed) return Promise.reject(new ClosedError('key pool'));
    const now = this.#desk.clock.now();
    const call = this.#desk.prepare(request, now);
    const { modelQueue, project, request: resized, tokens } = call;
    if (modelQueue.waiters.size === 0 && this.#hasRoom()) {
      const isPaced = modelQueue.isPaced(resized, Number.POSITIVE_INFINITY, now);
      const quota = modelQueue.choose(resized, project, tokens, now, undefined, isPaced);
      const grant = quota && openGrant(modelQueue, quota, call, isPaced, now);
      if (grant !== undefined) return Promise.resolve(this.#desk.lease(grant, { enqueuedAt: now }));
    }
    return this.#desk.wait(call, resized.since ?? now, now, options?.signal);
  }

  async stats(): Promise<KeyPoolStats> {
    return this.#desk.stats();
  }

  secrets(): readonly string[] {
    return this.#desk.registry.secrets();
  }

  onEvent(listener: (event: KeyEvent) => void): () => void {
    return this.#desk.events.subscribe(listener);
  }

  useProbe(probe: KeyProbe): () => void {
    return this.#desk.prober.use(probe);
  }

  /**
   * Adds keys while calls run. Keys that the pool already has stay as they are.
   *
   * @throws ConfigurationError if a key is not valid.
   */
  addKeys(keys: readonly KeySpec[]): void {
    this.#desk.addKeys(keys);
  }

  /** Removes the key with this masked id. Its calls in flight may finish. Returns whether the pool had it. */
  removeKey(id: string): boolean {
    return this.#desk.removeKey(id);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#desk.prober.close();
    for (const { waiters } of this.#desk.registry.modelQueues())
      for (const waiter of waiters.drain()) waiter.reject(new ClosedError('key pool'));
    this.#arm();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Dispatches once for all calls that are aborted together. */
  #wakeSoon(): void {
    if (this.#isWakeDue) return;
    this.#isWakeDue = true;
    queueMicrotask(() => {
      this.#isWakeDue = false;
      this.#wake();
    });
  }

  #settle(grant: Grant, outcome: LeaseOutcome): void {
    const { clock, settlement } = this.#desk;
    const observation = settlement.observe(grant, outcome, clock.now());
    this.#change((now) => settlement.apply(grant, outcome, observation, now));
  }

  #change(run: (now: number) => readonly KeyEvent[]): undefined {
    for (const event of run(this.#desk.clock.now())) this.#desk.events.report(event);
    this.#wake();
  }

  /** Grants what is free, and sets the timer for the next slot or deadline. */
  #wake(): void {
    const now = this.#desk.clock.now();
    this.#desk.leases.reclaim(now);
    for (const modelQueue of this.#desk.registry.modelQueues()) {
      if (modelQueue.waiters.size > 0) this.#dispatch(modelQueue, now);
    }
    this.#arm();
  }

  #dispatch(modelQueue: ModelQueue, now: number): void {
    const served: Waiter[] = [];
    const refused: { readonly waiter: Waiter; readonly error: Error }[] = [];
    const actions: DispatchActions = {
      maxWaitMs: this.#maxWaitMs,
      hasRoom: () => this.#hasRoom(),
      projectOf: ({ project }) => this.#desk.registry.projectName(project),
      grant: (waiter, quota, paced) => {
        const grant = openGrant(modelQueue, quota, waiter, paced, now);
        if (grant === undefined) return;
        served.push(waiter);
        waiter.grant(this.#desk.lease(grant, waiter));
      },
      refuse: (waiter, at) =>
        refused.push({ waiter, error: this.#desk.refusal(modelQueue, waiter, now, at) }),
    };
    dispatch(modelQueue, now, actions);
    modelQueue.waiters.arrivals.clear();
    for (const waiter of served) modelQueue.waiters.take(waiter);
    for (const { waiter, error } of refused) if (modelQueue.waiters.remove(waiter)) waiter.reject(error);
  }

  #hasRoom(): boolean {
    return this.#desk.leases.size < this.#maxInFlight;
  }

  #arm(): void {
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const { waiters, wakeAt: slotAt } of this.#desk.registry.modelQueues()) {
      if (waiters.size > 0)
        wakeAt = Math.min(wakeAt, slotAt, waiters.earliestDeadline, this.#desk.leases.earliest);
    }
    this.#timer.set(wakeAt);
  }
}
