import type { Clock } from '../../core/clock.js';
import { ClosedError, KeyPoolExhaustedError } from '../../core/errors.js';
import type { KeyLease } from '../key-pool.js';
import type { KeyRegistry } from '../scheduler/key-registry.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import type { DocumentStore, LedgerUnavailable } from './document-store.js';
import { FallbackQueue } from './fallback-queue.js';
import { openLocalShare } from './local-share.js';
import type { Peers } from './peers.js';
import type { LedgerChange, ResolvedRedisKeyPoolOptions } from './redis-key-pool-options.js';
import type { SharedScheduler } from './shared-scheduler.js';

/** How often a process reports to the others and reads their reports, or tries again to reach Redis. */
const heartbeatMs = 1_000;
/** An attempt without any answer blocks further ones no longer than this. */
const abandonedMs = 30_000;
const backgroundPatience = 10;

export interface LedgerLinkDeps {
  readonly options: ResolvedRedisKeyPoolOptions;
  /** Of the ledger. */
  readonly clock: Clock;
  readonly registry: KeyRegistry;
  readonly store: DocumentStore;
  readonly peers: Peers;
  readonly scheduler: SharedScheduler;
  /** With each heartbeat. */
  readonly onHeartbeat: () => void;
  /** A call got a lease of the local share. */
  readonly adopt: (waiter: Waiter, lease: KeyLease) => void;
}

/**
 * Decides what serves the calls: the ledger while Redis answers, else the local share, or nothing with
 * `failClosed`.
 */
export class LedgerLink {
  readonly #deps: LedgerLinkDeps;
  readonly #fallback: FallbackQueue;
  #local: ScheduledKeyPool | undefined;
  #isLocal = false;
  #isClosed = false;
  #reason = '';
  #timer: unknown;
  #attemptedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: LedgerLinkDeps) {
    this.#deps = deps;
    this.#fallback = new FallbackQueue(deps.adopt);
    // Without a listener a broken connection would end the process.
    deps.options.client.on('error', this.#onClientError);
  }

  readonly #onClientError = (error: unknown): void => {
    this.#reason = error instanceof Error ? error.message : String(error);
  };

  get localQueued(): number {
    return this.#fallback.size;
  }

  get local(): ScheduledKeyPool | undefined {
    return this.#local;
  }

  push(modelQueue: ModelQueue, waiter: Waiter): void {
    if (this.#isLocal) {
      this.#fallBack(modelQueue, waiter);
      return;
    }
    modelQueue.waiters.push(waiter);
    this.#deps.scheduler.schedule(modelQueue);
    if (this.#timer === undefined) this.#beat();
  }

  drop(modelQueue: ModelQueue, waiter: Waiter): void {
    modelQueue.waiters.remove(waiter);
    this.#fallback.drop(waiter);
  }

  /** Reports this process to the others, and takes over what they wrote. */
  async observe(all = true): Promise<void> {
    const { clock, options, peers, registry, scheduler, store } = this.#deps;
    this.#deps.onHeartbeat();
    if (this.#isLocal || this.#isClosed) return;
    try {
      const timeoutMs = options.timeoutMs * backgroundPatience;
      for (;;) {
        const changes = peers.report(registry.modelQueues(), clock.now(), store.aheadOfDateMs);
        const stale = await store.swap(new Map([[peers.document, changes]]), { timeoutMs });
        const latest = peers.latest();
        if (latest !== undefined) store.follow(latest);
        if (stale.length === 0) break;
      }
      peers.update(clock.now());
      scheduler.observe(all);
      await scheduler.idle;
    } catch (error) {
      this.onUnavailable(error as LedgerUnavailable);
    }
  }

  onUnavailable(error: LedgerUnavailable): void {
    if (this.#isLocal || this.#isClosed) return;
    const { clock, options, peers, registry, scheduler } = this.#deps;
    this.#reason = error.message;
    this.#isLocal = true;
    scheduler.isActive = false;
    if (!options.failClosed) {
      this.#local = openLocalShare({ registry, options, processes: peers.processes, clock });
    }
    for (const { modelQueue, waiter } of scheduler.drain()) this.#fallBack(modelQueue, waiter);
    this.#beat();
    this.#announce({ mode: 'local', reason: this.#reason });
  }

  async close(): Promise<void> {
    const { options, scheduler } = this.#deps;
    for (const { waiter } of [...scheduler.drain(), ...this.#fallback.drain()])
      waiter.reject(new ClosedError('key pool'));
    this.#isClosed = true;
    this.#deps.clock.clearTimeout(this.#timer);
    scheduler.wake();
    await this.#local?.close();
    await scheduler.idle;
    options.client.off('error', this.#onClientError);
  }

  #beat(): void {
    const { clock } = this.#deps;
    clock.clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = clock.setTimeout(
      () => {
        this.#beat();
        void (this.#isLocal ? this.#reconnect() : this.observe(false));
      },
      heartbeatMs,
      { isBackground: true },
    );
  }

  async #reconnect(): Promise<void> {
    const { clock, options, peers, scheduler, store } = this.#deps;
    // A client queues what it cannot send, so attempts must not pile up.
    if (this.#attemptedAt + abandonedMs > clock.now()) return;
    this.#attemptedAt = clock.now();
    let isLate = false;
    const ended = () => {
      this.#attemptedAt = Number.NEGATIVE_INFINITY;
    };
    try {
      await store.swap(new Map([[peers.document, new Map()]]), {
        timeoutMs: options.timeoutMs * backgroundPatience,
        onLate: ended,
      });
    } catch {
      isLate = true;
    }
    if (!isLate) ended();
    if (isLate || this.#isClosed || !this.#isLocal) return;
    this.#isLocal = false;
    this.#local = undefined;
    scheduler.isActive = true;
    for (const { modelQueue, waiter } of this.#fallback.drain()) this.push(modelQueue, waiter);
    await this.observe();
    if (!this.#isLocal) this.#announce({ mode: 'shared' });
  }

  #announce(change: LedgerChange): void {
    try {
      this.#deps.options.onLedgerChange?.(change);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  }

  #fallBack(modelQueue: ModelQueue, waiter: Waiter): void {
    if (this.#local === undefined) {
      waiter.reject(
        new KeyPoolExhaustedError(
          `The limits are kept in Redis, which cannot be used: ${this.#reason} Retry later, or create the pool with failClosed: false.`,
          { retryAfterMs: heartbeatMs },
        ),
      );
      return;
    }
    this.#fallback.push(this.#local, modelQueue, waiter);
  }
}
