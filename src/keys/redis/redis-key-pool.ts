import type { AbortOptions } from '../../core/abort.js';
import { type Clock, systemClock } from '../../core/clock.js';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { KeyEvent, KeyLease, KeyPool, KeyPoolStats, LeaseRequest } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import { describePool, QueueWaits } from '../scheduler/pool-stats.js';
import type { Waiter } from '../scheduler/wait-queue.js';
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
import type { RedisKeyPoolOptions } from './redis-key-pool-options.js';
import { SharedLeases } from './shared-leases.js';
import { type Reservation, releaseRequest, SharedQueue } from './shared-queue.js';

/**
 * Schedules calls over keys like `ScheduledKeyPool`, with the quotas, what was learned of them and who
 * is left alone kept in Redis, so that any number of processes use each quota whole and none twice.
 * While Redis does not answer every process goes on with its share of the limits, and writes back
 * what it used when Redis is there again. Counts of calls by key are those of the process; windows,
 * limits and states are those of all.
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
  readonly #options: RedisKeyPoolOptions;
  readonly #clock: Clock;
  readonly #mirror: KeyMirror;
  readonly #ledger: Ledger;
  readonly #queue: SharedQueue;
  readonly #link: LedgerLink;
  readonly #waits = new QueueWaits();
  readonly #maxInFlight: number;
  readonly #leases: SharedLeases;
  readonly #admission: Admission;
  readonly #backlog: Backlog;
  #closed = false;

  /** @throws `ConfigurationError` when `client` is no Redis client. */
  constructor(options: RedisKeyPoolOptions) {
    const { limits = [], maxInFlightPerProjectModel = 256, random = Math.random } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#maxInFlight = options.maxInFlight ?? 512;
    const ids = new LedgerIds(options.secret);
    const prefix = options.prefix ?? 'multimodal-chat';
    const layout = new LedgerLayout(prefix, ids, limits, maxInFlightPerProjectModel);
    this.#mirror = new KeyMirror(layout, limits, maxInFlightPerProjectModel, random);
    this.#mirror.add(options.keys);
    const peers = new PeerProcesses(options.expectedProcesses ?? 1);
    this.#backlog = new Backlog(this.#mirror, peers, ids, this.#clock);
    this.#admission = new Admission(this.#mirror, peers, this.#clock, options.maxQueueLength ?? 10_000);
    this.#leases = new SharedLeases(
      this.#mirror,
      this.#clock,
      options.maxLeaseMs ?? 900_000,
      (grant, request) => {
        this.#link.report(grant.quota, request);
        this.#queue.pump();
      },
    );
    this.#ledger = new Ledger({
      run: scriptRunner(options.client),
      layout,
      clock: this.#clock,
      isOwnTime: options.clock !== undefined,
      timeoutMs: options.timeoutMs ?? 50,
      leaseMs: options.reservationTtlMs ?? 15_000,
      process: Math.random().toString(36).slice(2, 12),
    });
    this.#queue = new SharedQueue({
      ledger: this.#ledger,
      mirror: this.#mirror,
      backlog: this.#backlog,
      peers: peers,
      clock: this.#clock,
      random,
      spare: () => this.#maxInFlight - this.#leases.size,
      grant: (waiter, reservation) => this.#grant(waiter, reservation),
      refuse: (modelQueue, waiter, at) =>
        waiter.reject(this.#admission.refusal(modelQueue, waiter.request, at)),
      release: (reservation) =>
        this.#link.reportAlways(reservation.quota, releaseRequest(reservation, this.#mirror)),
      onUnavailable: (error) => this.#link.onUnavailable(error),
    });
    this.#link = new LedgerLink({
      options,
      ledger: this.#ledger,
      mirror: this.#mirror,
      queue: this.#queue,
      peers: peers,
      backlog: this.#backlog,
      clock: this.#clock,
      random,
      reclaim: () => this.#leases.reclaim(),
      adopt: (waiter, lease) => this.#adopt(waiter, lease),
    });
  }

  acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed) return Promise.reject(closedError());
    const now = this.#clock.now();
    this.#leases.reclaim();
    const modelQueue = this.#mirror.registry.modelQueue(request.model);
    const resized = modelQueue.oversized.resize(request);
    const since = resized.since ?? now;
    const deadline =
      resized.deadline === undefined
        ? now + (this.#options.maxWaitMs ?? 60_000)
        : this.#backlog.latestStart(modelQueue, resized, resized.deadline, since);
    const tokens = modelQueue.tokensFor(resized.estimatedTokens);
    modelQueue.noteDemand(resized, now);
    const refusal = this.#admission.check(modelQueue, resized, tokens, since, deadline);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#link.drop(modelQueue, waiter);
        reject(signal?.reason);
        this.#queue.pump();
      };
      const leave = () => signal?.removeEventListener('abort', onAbort);
      const waiter: Waiter = {
        request,
        tokens,
        since,
        enqueuedAt: now,
        deadline,
        grant: (lease) => {
          leave();
          resolve(lease);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#link.push(modelQueue, waiter);
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

  /** Adds keys while calls run, in this process. Keys that are already there are left as they are. */
  addKeys(keys: readonly KeySpec[]): void {
    this.#mirror.add(keys);
    this.#link.addKeys(keys);
    this.#queue.pump();
  }

  /** Takes out the key with this masked id, in this process. Its calls in flight may finish. Returns whether it was there. */
  removeKey(id: string): boolean {
    const removed = this.#mirror.remove(id);
    this.#queue.pump();
    return removed;
  }

  /** Rejects what waits, and resolves when Redis knows what has ended. The client is left open. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#link.close(closedError());
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

  /** Books a call here that the local share granted. */
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

function closedError(): KeyPoolExhaustedError {
  return new KeyPoolExhaustedError('The key pool is closed and grants no more keys.');
}
