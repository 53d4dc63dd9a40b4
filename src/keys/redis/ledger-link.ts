import type { Clock } from '../../core/clock.js';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { KeyLease } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import type { Backlog } from './backlog.js';
import { FallbackQueue } from './fallback-queue.js';
import { Heartbeat } from './heartbeat.js';
import type { KeyMirror } from './key-mirror.js';
import type { Ledger, LedgerUnavailable } from './ledger.js';
import type { SettleRequest } from './ledger-view.js';
import { openLocalShare } from './local-share.js';
import type { PeerProcesses } from './peer-processes.js';
import { recoverySnapshot } from './recovery-snapshot.js';
import type { LedgerChange, RedisKeyPoolOptions } from './redis-key-pool-options.js';
import type { SharedQueue } from './shared-queue.js';

/** How often a process says that it lives, and looks at what the others know. */
const heartbeatMs = 1_000;
/** How often a Redis that failed is tried again. */
const retryMs = 1_000;
/** An attempt that got no answer at all is given up after this. */
const abandonedMs = 30_000;

export interface LedgerLinkOptions {
  readonly options: RedisKeyPoolOptions;
  readonly ledger: Ledger;
  readonly mirror: KeyMirror;
  readonly queue: SharedQueue;
  readonly peers: PeerProcesses;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly random: () => number;
  /** Takes back leases that nobody will ever settle. */
  readonly reclaim: () => void;
  /** A call got a lease of the local share. */
  readonly adopt: (waiter: Waiter, lease: KeyLease) => void;
}

/**
 * Decides who serves: the ledger while Redis answers, else the local share or nobody. Joins the ledger
 * on the first call and again after an outage, with what was used meanwhile.
 */
export class LedgerLink {
  readonly #parts: LedgerLinkOptions;
  #mode: 'new' | 'joining' | 'shared' | 'local' | 'closed' = 'new';
  #reason = '';
  #local: ScheduledKeyPool | undefined;
  readonly #fallback: FallbackQueue;
  readonly #untold = new Set<Promise<void>>();
  readonly #rhythm: Heartbeat;
  #joiningSince: number | undefined;
  #joining: Promise<void> = Promise.resolve();

  constructor(parts: LedgerLinkOptions) {
    this.#parts = parts;
    this.#fallback = new FallbackQueue(parts.adopt);
    this.#rhythm = new Heartbeat(parts.clock);
    this.#onClientError = (error) => {
      this.#reason = error instanceof Error ? error.message : String(error);
    };
    // Without a listener a broken connection would end the process.
    parts.options.client.on('error', this.#onClientError);
  }

  readonly #onClientError: (error: unknown) => void;

  get isShared(): boolean {
    return this.#mode === 'shared';
  }

  /** Calls that wait for the local share. */
  get fallbackSize(): number {
    return this.#fallback.size;
  }

  push(modelQueue: ModelQueue, waiter: Waiter): void {
    if (this.#mode === 'local') {
      this.#delegate(modelQueue, waiter);
      return;
    }
    this.#parts.queue.push(modelQueue, waiter);
    if (this.#mode === 'new') this.#join();
  }

  /** The caller does not wait any more. */
  drop(modelQueue: ModelQueue, waiter: Waiter): void {
    modelQueue.waiters.remove(waiter);
    this.#fallback.drop(waiter);
  }

  /** Tells the ledger how a call ended; without one it learns that when it is joined again. */
  report(quota: ProjectModelQuota, request: SettleRequest): void {
    if (this.#mode !== 'local' && this.#mode !== 'new') this.reportAlways(quota, request);
  }

  /** For what the ledger has only just said, be it too late: it is there, whatever was thought of it. */
  reportAlways(quota: ProjectModelQuota, request: SettleRequest): void {
    const isMerged = quota.current !== quota;
    const told = this.#parts.ledger.settle(quota, request).then(
      () => {
        if (isMerged && this.#mode === 'shared') this.#join();
      },
      (error: LedgerUnavailable) => this.onUnavailable(error),
    );
    this.#untold.add(told);
    void told.then(() => this.#untold.delete(told));
  }

  addKeys(keys: readonly KeySpec[]): void {
    this.#local?.addKeys(keys);
  }

  /** The ledger did not answer, or has lost its data. */
  onUnavailable(error: LedgerUnavailable): void {
    if (this.#mode !== 'shared' && this.#mode !== 'joining') return;
    if (!error.isLost) {
      this.#goLocal(error.message);
      return;
    }
    if (this.#mode === 'joining') return;
    this.#parts.queue.isOpen = false;
    this.#mode = 'joining';
    this.#join();
  }

  /** Says that the process lives, and takes over what the others know. */
  async observe(): Promise<void> {
    if (this.#mode === 'joining') await this.#joining;
    if (this.#mode !== 'shared') return;
    const { ledger, mirror, queue, peers, backlog, clock } = this.#parts;
    this.#parts.reclaim();
    mirror.calls.forget(ledger.now());
    const quotas = mirror.quotas();
    const { settled } = mirror;
    const running = mirror.calls
      .of(quotas)
      .map((calls) => calls.filter((call) => call.isRunning).map(({ id }) => id));
    const queued = quotas.length === 0 ? 0 : queue.size;
    try {
      const reply = await ledger.observe(quotas, { queued, backlogs: backlog.describe(), running });
      mirror.hydrate(quotas, reply, clock.now(), settled);
      peers.update(reply.processes, reply.queuedElsewhere, reply.backlogs);
      // Others may have given back what was waited for, or found that a model is back.
      queue.pump();
      if (mirror.identify(reply.consumers)) this.#join();
    } catch (error) {
      this.onUnavailable(error as LedgerUnavailable);
    }
  }

  async close(reason: KeyPoolExhaustedError): Promise<void> {
    const { options, queue } = this.#parts;
    for (const { waiter } of [...queue.drain(), ...this.#fallback.drain()]) waiter.reject(reason);
    this.#rhythm.stop();
    queue.isOpen = false;
    const wasShared = this.#mode === 'shared';
    // Calls in flight may still end, and are told of while the caller leaves the client open.
    this.#mode = wasShared ? 'closed' : 'new';
    await this.#local?.close();
    await Promise.all(this.#untold);
    options.client.off('error', this.#onClientError);
  }

  #join(): void {
    const { ledger, mirror, clock } = this.#parts;
    if (this.#mode === 'new') this.#mode = 'joining';
    const now = clock.now();
    // A client queues what it cannot send: attempts must not pile up in it.
    if (this.#joiningSince !== undefined && this.#joiningSince + abandonedMs > now) return;
    this.#joiningSince = now;
    const quotas = mirror.quotas();
    const known = recoverySnapshot(mirror, ledger.layout, quotas, ledger.dayEnd(), now);
    const ended = () => {
      this.#joiningSince = undefined;
    };
    this.#joining = ledger.join(quotas, known, ended).then(
      () => this.#joined(),
      (error: LedgerUnavailable) => {
        if (this.#mode === 'joining' || this.#mode === 'shared') this.#goLocal(error.message);
      },
    );
  }

  #joined(): void {
    const { queue } = this.#parts;
    if (this.#mode === 'closed' || this.#mode === 'new') return;
    const wasLocal = this.#mode === 'local';
    this.#mode = 'shared';
    queue.isOpen = true;
    for (const { modelQueue, waiter } of this.#fallback.drain()) queue.push(modelQueue, waiter);
    this.#local = undefined;
    void this.observe();
    this.#rhythm.every(heartbeatMs, () => this.observe());
    queue.pump();
    if (wasLocal) this.#announce({ mode: 'shared' });
  }

  #goLocal(failure: string): void {
    const { options, ledger, mirror, queue, peers, clock, random } = this.#parts;
    this.#reason = failure;
    this.#mode = 'local';
    queue.isOpen = false;
    if (options.failClosed !== true) {
      this.#local = openLocalShare({
        mirror,
        rules: options.limits ?? [],
        processes: peers.processes,
        clock,
        random,
        maxWaitMs: options.maxWaitMs ?? 60_000,
        maxQueueLength: options.maxQueueLength ?? 10_000,
        maxInFlight: options.maxInFlight ?? 512,
        maxInFlightPerProjectModel: options.maxInFlightPerProjectModel ?? 256,
        toLocal: (at) => ledger.toLocal(at),
      });
    }
    for (const { modelQueue, waiter } of queue.drain()) this.#delegate(modelQueue, waiter);
    this.#rhythm.every(retryMs, () => this.#join());
    this.#announce({ mode: 'local', reason: this.#reason });
  }

  #announce(change: LedgerChange): void {
    try {
      this.#parts.options.onLedgerChange?.(change);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  }

  #delegate(modelQueue: ModelQueue, waiter: Waiter): void {
    const local = this.#local;
    if (local === undefined) {
      waiter.reject(
        new KeyPoolExhaustedError(
          `The limits are kept in Redis, which cannot be used: ${this.#reason} Retry later, or open the pool with failClosed: false.`,
          { retryAfterMs: retryMs },
        ),
      );
      return;
    }
    this.#fallback.push(local, modelQueue, waiter);
  }
}
