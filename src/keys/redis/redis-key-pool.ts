import type { AbortOptions } from '../../core/abort.js';
import { type Clock, systemClock } from '../../core/clock.js';
import { ClosedError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
import type { KeyEvent, KeyLease, KeyPool, KeyPoolStats, KeyProbe, LeaseRequest } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import { KeyProber } from '../scheduler/key-prober.js';
import { describePool, QueueWaits } from '../scheduler/pool-stats.js';
import { type Waiter, waitForLease } from '../scheduler/wait-queue.js';
import { Admission } from './admission.js';
import { Backlog } from './backlog.js';
import { describeView, withSharedWindows } from './hydrate.js';
import { KeyMirror } from './key-mirror.js';
import { Ledger } from './ledger.js';
import { LedgerIds } from './ledger-ids.js';
import { LedgerLayout } from './ledger-layout.js';
import { LedgerLink } from './ledger-link.js';
import { PeerProcesses } from './peer-processes.js';
import { scriptRunner } from './redis-client.js';
import {
  type RedisKeyPoolOptions,
  type ResolvedRedisKeyPoolOptions,
  redisKeyPoolOptionsSchema,
} from './redis-key-pool-options.js';
import { SharedLeases } from './shared-leases.js';
import { type Reservation, releaseRequest, SharedQueue } from './shared-queue.js';

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
  readonly #clock: Clock;
  readonly #mirror: KeyMirror;
  readonly #ledger: Ledger;
  readonly #queue: SharedQueue;
  readonly #link: LedgerLink;
  readonly #waits = new QueueWaits();
  readonly #leases: SharedLeases;
  readonly #admission: Admission;
  readonly #backlog: Backlog;
  readonly #prober: KeyProber;
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong or unknown. */
  constructor(options: RedisKeyPoolOptions) {
    const parsed = parseOptions(redisKeyPoolOptionsSchema, options, 'RedisKeyPool');
    const { limits, maxInFlightPerProjectModel, random } = parsed;
    this.#options = parsed;
    this.#clock = parsed.clock ?? systemClock;
    const ids = new LedgerIds(parsed.secret);
    const layout = new LedgerLayout(parsed.prefix, ids, limits, maxInFlightPerProjectModel);
    this.#mirror = new KeyMirror(layout, limits, maxInFlightPerProjectModel, random);
    this.#mirror.add(parsed.keys);
    const peers = new PeerProcesses(parsed.expectedProcesses);
    const deps = { mirror: this.#mirror, peers, clock: this.#clock };
    this.#backlog = new Backlog(deps, ids);
    this.#admission = new Admission(deps, parsed);
    this.#leases = new SharedLeases(this.#mirror, this.#clock, parsed.maxLeaseMs, (grant, request) => {
      this.#link.report(grant.quota, request);
      this.#queue.pump();
    });
    this.#ledger = new Ledger({
      run: scriptRunner(parsed.client),
      layout,
      clock: this.#clock,
      isOwnTime: parsed.clock !== undefined,
      timeoutMs: parsed.timeoutMs,
      leaseMs: parsed.reservationTtlMs,
      process: Math.random().toString(36).slice(2, 12),
    });
    const ledgerDeps = { ...deps, ledger: this.#ledger, backlog: this.#backlog, random };
    this.#queue = new SharedQueue({
      ...ledgerDeps,
      spare: () => parsed.maxInFlight - this.#leases.size,
      grant: (waiter, reservation) => this.#grant(waiter, reservation),
      refuse: (modelQueue, waiter, at) => waiter.reject(this.#admission.refusal(modelQueue, waiter, at)),
      release: (reservation) =>
        this.#link.reportAlways(reservation.quota, releaseRequest(reservation, this.#mirror)),
      onUnavailable: (error) => this.#link.onUnavailable(error),
      maxWaitMs: parsed.maxWaitMs,
    });
    this.#link = new LedgerLink({
      ...ledgerDeps,
      options: parsed,
      queue: this.#queue,
      reclaim: () => this.#leases.reclaim(),
      adopt: (waiter, lease) => this.#adopt(waiter, lease),
      armProbes: () => this.#prober.arm(),
    });
    const { events, registry, settlement } = this.#mirror;
    this.#prober = new KeyProber({
      clock: this.#clock,
      registry,
      settlement,
      events,
      onVerdict: (suspect, failure) => {
        const verdict = this.#mirror.describeVerdict(
          suspect,
          failure,
          this.#queue.nextId(),
          this.#clock.now(),
        );
        if (verdict !== undefined) this.#link.report(verdict.quota, verdict.request);
        this.#queue.pump();
      },
    });
  }

  acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#isClosed) return Promise.reject(new ClosedError('key pool'));
    const now = this.#clock.now();
    this.#leases.reclaim();
    const modelQueue = this.#mirror.registry.modelQueue(request.model);
    const resized = modelQueue.oversized.resize(request);
    const since = resized.since ?? now;
    const deadline =
      resized.deadline === undefined
        ? now + this.#options.maxWaitMs
        : this.#backlog.latestStart(modelQueue, resized, resized.deadline, since);
    const tokens = modelQueue.tokensFor(resized.estimatedTokens);
    modelQueue.noteDemand(resized, now);
    const refusal = this.#admission.check(modelQueue, resized, tokens, since, deadline);
    if (refusal !== undefined) return Promise.reject(refusal);
    const call = { request: resized, tokens, since, enqueuedAt: now, deadline };
    return waitForLease(call, signal, {
      enqueue: (waiter) => this.#link.push(modelQueue, waiter),
      leave: (waiter) => {
        this.#link.drop(modelQueue, waiter);
        this.#queue.pump();
      },
    });
  }

  async stats(): Promise<KeyPoolStats> {
    await this.#link.observe();
    const now = this.#clock.now();
    const own = describePool(
      this.#mirror.registry,
      this.#waits,
      this.#leases.current,
      this.#leases.size,
      now,
    );
    const queued = own.queued + this.#link.fallbackSize;
    if (!this.#link.isShared) return { ...own, queued };
    const shared = new Map(
      this.#mirror.quotas().flatMap((quota) => {
        const view = this.#mirror.seen(quota)?.view;
        return view === undefined
          ? []
          : [[`${quota.project.name} ${quota.model}`, describeView(quota.model, view, now)] as const];
      }),
    );
    return { ...own, queued, keys: own.keys.map((key) => withSharedWindows(key, shared)) };
  }

  secrets(): readonly string[] {
    return this.#mirror.registry.secrets();
  }

  onEvent(listener: (event: KeyEvent) => void): () => void {
    return this.#mirror.events.subscribe(listener);
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
    this.#mirror.add(parsed);
    this.#link.addKeys(parsed);
    this.#queue.pump();
  }

  /** Removes the key with this masked id in this process. Its calls in flight may finish. Returns whether the pool had it. */
  removeKey(id: string): boolean {
    const removed = this.#mirror.remove(id);
    this.#queue.pump();
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

  #grant(waiter: Waiter, reservation: Reservation): void {
    const { request, tokens } = waiter;
    const grant = this.#mirror.book(reservation, request, tokens, reservation, this.#clock.now());
    this.#waits.add(this.#clock.now() - waiter.enqueuedAt);
    waiter.grant(this.#leases.lease(grant, waiter.deadline));
  }

  /** Books a call in the mirror that the local share granted. */
  #adopt(waiter: Waiter, local: KeyLease): void {
    const { request, tokens } = waiter;
    const place = this.#mirror.find(request.model, local.key.value);
    if (place === undefined) {
      waiter.grant(local);
      return;
    }
    const now = this.#clock.now();
    const call = { id: this.#queue.nextId(), at: this.#ledger.now(), dayEnd: this.#ledger.dayEnd() };
    const grant = this.#mirror.book(place, request, tokens, call, now);
    this.#waits.add(now - waiter.enqueuedAt);
    waiter.grant(this.#leases.lease(grant, waiter.deadline, local));
  }
}
