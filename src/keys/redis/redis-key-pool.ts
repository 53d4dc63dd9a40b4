import type { AbortOptions } from '../../core/abort.js';
import { raceAbort } from '../../core/abort.js';
import { type Clock, systemClock, wallTime } from '../../core/clock.js';
import { ClosedError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
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
import { KeyProber } from '../scheduler/key-prober.js';
import { consumerNumber, KeyRegistry } from '../scheduler/key-registry.js';
import { lostLease, OpenLeases } from '../scheduler/open-leases.js';
import { describePool, QueueWaits } from '../scheduler/pool-stats.js';
import { admit, refusal } from '../scheduler/queue-admission.js';
import { type Grant, Settlement } from '../scheduler/settlement.js';
import { type Waiter, waitForLease } from '../scheduler/wait-queue.js';
import { DocumentStore } from './document-store.js';
import { LedgerIds } from './ledger-ids.js';
import { LedgerLink } from './ledger-link.js';
import { Peers } from './peers.js';
import { scriptRunner } from './redis-client.js';
import {
  type RedisKeyPoolOptions,
  type ResolvedRedisKeyPoolOptions,
  redisKeyPoolOptionsSchema,
} from './redis-key-pool-options.js';
import { SharedScheduler } from './shared-scheduler.js';
import { SharedState } from './shared-state.js';

/**
 * Schedules calls over keys like {@link index!ScheduledKeyPool | ScheduledKeyPool}, but keeps quotas,
 * learned limits and blocks in Redis, so that any number of processes together use each quota to the full
 * and never exceed it. While Redis does not answer, every process uses its share of the limits, and writes
 * its use back when Redis answers again. Counts of calls by key are of this process; windows, limits and
 * states are of all.
 *
 * Redis holds no API key: names are HMACs. One hash tag keeps everything on one node of a cluster.
 *
 * @example
 * ```ts
 * import { createClient } from 'redis';
 * import { keysFromEnv, MultimodalChat } from 'multimodal-chat';
 * import { RedisKeyPool } from 'multimodal-chat/redis';
 *
 * const client = await createClient({ url: process.env.REDIS_URL }).connect();
 * const keyPool = new RedisKeyPool({ client, keys: keysFromEnv(), limits: [{ rpm: 10, tpm: 250_000 }] });
 * const chat = new MultimodalChat({ keyPool });
 * ```
 */
export class RedisKeyPool implements KeyPool {
  readonly #options: ResolvedRedisKeyPoolOptions;
  /** Tells the time of the ledger. */
  readonly #clock: Clock;
  readonly #registry: KeyRegistry;
  readonly #settlement: Settlement;
  readonly #ids: LedgerIds;
  readonly #store: DocumentStore;
  readonly #scheduler: SharedScheduler;
  readonly #link: LedgerLink;
  readonly #prober: KeyProber;
  readonly #events: KeyEvents;
  readonly #waits = new QueueWaits();
  readonly #leases = new OpenLeases();
  #current: Grant['key'] | undefined;
  #contact: Promise<void> | undefined;
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong or unknown. */
  constructor(options: RedisKeyPoolOptions) {
    const parsed = parseOptions(redisKeyPoolOptionsSchema, options, 'RedisKeyPool');
    const { maxWaitMs, prefix, random, timeoutMs } = parsed;
    const clock = parsed.clock ?? systemClock;
    const process = Math.random().toString(36).slice(2, 12);
    this.#options = parsed;
    this.#clock = {
      now: () => clock.now() + (this.#store.offsetMs ?? 0),
      wallTime: () => wallTime(clock),
      setTimeout: (callback, delayMs, timer) => clock.setTimeout(callback, delayMs, timer),
      clearTimeout: (handle) => clock.clearTimeout(handle),
    };
    this.#events = new KeyEvents(this.#clock);
    this.#ids = new LedgerIds(parsed.secret);
    const peers = new Peers(prefix, this.#ids, process, parsed.expectedProcesses);
    // The processes must agree on the day of a quota, also if the date of one is wrong.
    const sharedDate = { ...this.#clock, wallTime: () => this.#clock.now() - this.#store.aheadOfDateMs };
    this.#registry = new KeyRegistry(parsed, sharedDate, peers);
    this.#registry.add(parsed.keys);
    this.#settlement = new Settlement(this.#registry, random);
    this.#store = new DocumentStore(scriptRunner(parsed.client), clock, process, parsed.clock !== undefined);
    const shared = { registry: this.#registry, store: this.#store, clock: this.#clock, peers, process };
    const state = new SharedState({ ...shared, ids: this.#ids, prefix, leaseMs: parsed.reservationTtlMs });
    this.#scheduler = new SharedScheduler({
      ...shared,
      state,
      random,
      timeoutMs,
      maxWaitMs,
      spare: () => parsed.maxInFlight - this.#leases.size,
      emit: (event) => this.#events.report(event),
      grant: (waiter, grant) => {
        this.#waits.add(this.#clock.now() - waiter.enqueuedAt);
        waiter.grant(this.#lease(grant, waiter.deadline));
      },
      refusal: (modelQueue, { deadline, request, tokens }, at) => {
        const call = { modelQueue, request, project: this.#registry.projectName(request.project), tokens };
        return refusal(call, deadline, parsed, this.#clock.now(), at);
      },
      release: (grant) => this.#settle(grant, unused),
      onUnavailable: (error) => this.#link.onUnavailable(error),
    });
    this.#prober = new KeyProber({
      registry: this.#registry,
      settlement: this.#settlement,
      events: this.#events,
      clock: this.#clock,
      change: (model, run) =>
        new Promise((done) => {
          const name = model ?? [...this.#registry.modelQueues()][0]?.model ?? '';
          this.#scheduler.change(this.#registry.modelQueue(name), { run, done });
        }),
    });
    this.#link = new LedgerLink({
      ...shared,
      options: parsed,
      scheduler: this.#scheduler,
      onHeartbeat: () => {
        this.#leases.reclaim(this.#clock.now());
        this.#prober.arm();
      },
      adopt: (waiter, lease) => this.#adopt(waiter, lease),
    });
  }

  async acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('key pool');
    // The time of Redis, by which deadlines are compared, and the demand in other processes.
    this.#contact ??= this.#link.observe();
    await raceAbort(this.#contact, signal);
    if (this.#isClosed) throw new ClosedError('key pool');
    return this.#acquire(request, signal);
  }

  async stats(): Promise<KeyPoolStats> {
    await this.#link.observe();
    const { size } = this.#leases;
    const stats = describePool(this.#registry, this.#waits, this.#current, size, this.#clock);
    return { ...stats, queued: stats.queued + this.#link.localQueued };
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
   * Adds keys in this process while calls run. Keys that the pool already has stay as they are.
   *
   * @throws ConfigurationError if a key is not valid.
   */
  addKeys(keys: readonly KeySpec[]): void {
    const parsed = parseOptions(redisKeyPoolOptionsSchema.shape.keys, keys, 'addKeys');
    this.#registry.add(parsed);
    this.#link.local?.addKeys(parsed);
    this.#scheduler.wake();
  }

  /** Removes the key with this masked id in this process. Its calls in flight may finish. Returns whether the pool had it. */
  removeKey(id: string): boolean {
    const removed = this.#registry.remove(id);
    this.#scheduler.wake();
    return removed;
  }

  /** Rejects waiting calls. Resolves once the ended calls are reported to Redis. Leaves the client open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#prober.close();
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #acquire(request: LeaseRequest, signal: AbortSignal | undefined): Promise<KeyLease> {
    const now = this.#clock.now();
    const offsetMs = this.#store.offsetMs ?? 0;
    this.#leases.reclaim(now);
    const modelQueue = this.#registry.modelQueue(request.model);
    const resized = modelQueue.oversized.resize(request);
    const tokens = modelQueue.tokensFor(resized.estimatedTokens);
    modelQueue.noteDemand(resized, now);
    const since = (resized.since ?? now - offsetMs) + offsetMs;
    const asked = resized.deadline === undefined ? undefined : resized.deadline + offsetMs;
    const project = this.#registry.projectName(resized.project);
    const call = { modelQueue, request: resized, project, tokens };
    const place = admit(call, { since, deadline: asked }, this.#options, now);
    if ('error' in place) return Promise.reject(place.error);
    return waitForLease({ request: resized, tokens, ...place, enqueuedAt: now }, signal, {
      enqueue: (waiter) => this.#link.push(modelQueue, waiter),
      leave: (waiter) => {
        this.#link.drop(modelQueue, waiter);
        this.#scheduler.wake();
      },
    });
  }

  /** @param local The lease of the local share behind this one, if there is one. */
  #lease(grant: Grant, deadline: number, local?: KeyLease): KeyLease {
    this.#current = grant.key;
    const end = (outcome: LeaseOutcome) => {
      local?.settle(outcome);
      this.#settle(grant, outcome);
    };
    const open = {
      expiresAt: Math.max(this.#clock.now(), deadline) + this.#options.maxLeaseMs,
      reclaim: () => end(lostLease),
    };
    this.#leases.add(open);
    return {
      key: grant.key.leased,
      settle: (outcome) => {
        if (this.#leases.delete(open)) end(outcome);
      },
    };
  }

  #settle(grant: Grant, given: LeaseOutcome): void {
    const outcome = this.#hideProject(given);
    const observation = this.#settlement.observe(grant, outcome, this.#clock.now());
    this.#scheduler.change(grant.modelQueue, {
      quota: grant.quota,
      isLazy: outcome.ok && this.#isHealthy(grant),
      run: (now) => this.#settlement.apply(grant, outcome, observation, now),
    });
  }

  /** Whether there is nothing that the other processes should know at once. */
  #isHealthy({ key, modelQueue, quota }: Grant): boolean {
    const { gate, project } = quota.current;
    return [key.gate, gate, project.gate, modelQueue.breaker.gate].every(({ isHealthy }) => isHealthy);
  }

  /** Charges a call that the local share granted, once Redis answers again. */
  #adopt(waiter: Waiter, local: KeyLease): void {
    const { request, tokens } = waiter;
    const modelQueue = this.#registry.modelQueue(request.model);
    const quota = modelQueue.quotas.find(({ project }) =>
      project.keys.some((key) => key.is(local.key.value)),
    );
    const key = quota?.project.keys.find((candidate) => candidate.is(local.key.value));
    if (quota === undefined || key === undefined) {
      waiter.grant(local);
      return;
    }
    const now = this.#clock.now();
    const booking = { at: now, tokens, day: quota.day(now), usedTokens: quota.log.tokens(now) };
    quota.ownInFlight += 1;
    key.inFlight += 1;
    this.#scheduler.change(modelQueue, {
      quota,
      run: (later) => {
        quota.current.bookEarlier(booking, later);
        return [];
      },
    });
    this.#waits.add(now - waiter.enqueuedAt);
    waiter.grant(this.#lease({ modelQueue, quota, key, booking, request, at: now }, waiter.deadline, local));
  }

  /** Processes compare projects by digests of their numbers, so that Redis holds no number. */
  #hideProject(outcome: LeaseOutcome): LeaseOutcome {
    if (outcome.ok || outcome.failure.project === undefined) return outcome;
    const project = this.#ids.consumer(consumerNumber(outcome.failure.project));
    return { ...outcome, failure: { ...outcome.failure, project } };
  }
}

const unused: LeaseOutcome = {
  ok: false,
  sent: false,
  failure: { kind: 'network', scope: 'call', message: 'The caller left before the call was made.' },
};
