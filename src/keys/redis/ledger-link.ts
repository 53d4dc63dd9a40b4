import { ClosedError, KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseDesk } from '../scheduler/lease-desk.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import type { DocumentStore, LedgerUnavailable } from './document-store.js';
import type { Peers } from './peers.js';
import type { LedgerChange, ResolvedRedisKeyPoolOptions } from './redis-key-pool-options.js';
import { backgroundPatience, type SharedScheduler } from './shared-scheduler.js';

/** How often a process reports to the others and reads their reports, or tries again to reach Redis. */
const heartbeatMs = 1_000;
/** An attempt without any answer blocks further ones no longer than this. */
const abandonedMs = 30_000;

export interface LedgerLinkDeps
  extends Pick<ResolvedRedisKeyPoolOptions, 'client' | 'failClosed' | 'timeoutMs' | 'onLedgerChange'> {
  readonly desk: LeaseDesk;
  readonly store: DocumentStore;
  readonly peers: Peers;
  readonly scheduler: SharedScheduler;
}

/**
 * Decides what serves the calls: the ledger while Redis answers, else this process's share of the limits, or
 * nothing with `failClosed`.
 */
export class LedgerLink {
  readonly #deps: LedgerLinkDeps;
  #isLocal = false;
  #isClosed = false;
  #reason = '';
  #timer: unknown;
  #attemptedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: LedgerLinkDeps) {
    this.#deps = deps;
    // Without a listener a broken connection would end the process.
    deps.client.on('error', this.#onClientError);
  }

  readonly #onClientError = (error: unknown): void => {
    this.#reason = error instanceof Error ? error.message : String(error);
  };

  push(modelQueue: ModelQueue, waiter: Waiter): void {
    const { failClosed, scheduler } = this.#deps;
    if (this.#isLocal && failClosed) {
      waiter.reject(this.#refusal());
      return;
    }
    modelQueue.waiters.push(waiter);
    scheduler.schedule(modelQueue);
    if (this.#timer === undefined) this.#beat();
  }

  /** Reports this process to the others, and takes over what they wrote. */
  async observe(all = true): Promise<void> {
    const { desk, peers, scheduler, store } = this.#deps;
    const { clock, registry } = desk;
    this.#maintain();
    if (this.#isLocal || this.#isClosed) return;
    try {
      const timeoutMs = this.#deps.timeoutMs * backgroundPatience;
      for (let attempt = 1; ; attempt += 1) {
        const changes = peers.report(registry.modelQueues(), clock.now(), store.aheadOfDateMs);
        const result = await store.swap(new Map([[peers.document, changes]]), { timeoutMs });
        const latest = peers.latest();
        if (latest !== undefined) store.follow(latest);
        if (result === 'set') break;
        if (result === 'busy') await scheduler.waitForTurn(attempt);
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
    const { failClosed, peers, scheduler } = this.#deps;
    this.#reason = error.message;
    this.#isLocal = true;
    peers.leave();
    scheduler.leave(!failClosed);
    if (failClosed) for (const waiter of scheduler.drain()) waiter.reject(this.#refusal());
    this.#beat();
    this.#announce({ mode: 'local', reason: this.#reason });
  }

  async close(): Promise<void> {
    const { client, desk, scheduler } = this.#deps;
    for (const waiter of scheduler.drain()) waiter.reject(new ClosedError('key pool'));
    this.#isClosed = true;
    desk.clock.clearTimeout(this.#timer);
    scheduler.wake();
    await scheduler.idle;
    client.off('error', this.#onClientError);
  }

  /** What is due without any call. */
  #maintain(): void {
    const { clock, leases, prober } = this.#deps.desk;
    leases.reclaim(clock.now());
    prober.arm();
  }

  #beat(): void {
    const { clock } = this.#deps.desk;
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
    const { desk, peers, scheduler, store, timeoutMs } = this.#deps;
    this.#maintain();
    // A client queues what it cannot send, so attempts must not pile up.
    if (this.#attemptedAt + abandonedMs > desk.clock.now()) return;
    this.#attemptedAt = desk.clock.now();
    let isLate = false;
    const ended = () => {
      this.#attemptedAt = Number.NEGATIVE_INFINITY;
    };
    try {
      await store.swap(new Map([[peers.document, new Map()]]), {
        timeoutMs: timeoutMs * backgroundPatience,
        onLate: ended,
      });
    } catch {
      isLate = true;
    }
    if (!isLate) ended();
    if (isLate || this.#isClosed || !this.#isLocal) return;
    this.#isLocal = false;
    scheduler.join();
    await this.observe();
    if (!this.#isLocal) this.#announce({ mode: 'shared' });
  }

  #announce(change: LedgerChange): void {
    try {
      this.#deps.onLedgerChange?.(change);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  }

  #refusal(): KeyPoolExhaustedError {
    return new KeyPoolExhaustedError(
      `The limits are kept in Redis, which cannot be used: ${this.#reason} Retry later, or create the pool with failClosed: false.`,
      { retryAfterMs: heartbeatMs },
    );
  }
}
