import { ClosedError, KeyPoolExhaustedError } from '../../core/errors.js';
import type { KeyLease } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import { FallbackQueue } from './fallback-queue.js';
import { Heartbeat } from './heartbeat.js';
import type { LedgerUnavailable } from './ledger.js';
import type { SettleRequest } from './ledger-view.js';
import { openLocalShare } from './local-share.js';
import { recoverySnapshot } from './recovery-snapshot.js';
import type { LedgerChange, ResolvedRedisKeyPoolOptions } from './redis-key-pool-options.js';
import type { SharedQueue, SharedQueueDeps } from './shared-queue.js';

/** How often a process reports to the ledger and reads what the others reported. */
const heartbeatMs = 1_000;
/** How often to try again to reach Redis. */
const retryMs = 1_000;
/** An attempt without any answer blocks further ones no longer than this. */
const abandonedMs = 30_000;

type QueueDeps = Pick<SharedQueueDeps, 'ledger' | 'mirror' | 'peers' | 'backlog' | 'clock' | 'random'>;

export interface LedgerLinkDeps extends QueueDeps {
  readonly options: ResolvedRedisKeyPoolOptions;
  readonly queue: SharedQueue;
  /** Reclaims the leases that have expired. */
  readonly reclaim: () => void;
  /** Another process may have found that a key is rejected. */
  readonly armProbes: () => void;
  /** A call got a lease of the local share. */
  readonly adopt: (waiter: Waiter, lease: KeyLease) => void;
}

/**
 * Decides what serves the calls: the ledger while Redis answers, else the local share, or nothing with
 * `failClosed`. Joins the ledger on the first call, and again after an outage with the quota used meanwhile.
 */
export class LedgerLink {
  readonly #deps: LedgerLinkDeps;
  #mode: 'new' | 'joining' | 'shared' | 'local' | 'closed' = 'new';
  #reason = '';
  #local: ScheduledKeyPool | undefined;
  readonly #fallback: FallbackQueue;
  readonly #unreported = new Set<Promise<void>>();
  readonly #heartbeat: Heartbeat;
  #joiningSince: number | undefined;
  #joining: Promise<void> = Promise.resolve();

  constructor(deps: LedgerLinkDeps) {
    this.#deps = deps;
    this.#fallback = new FallbackQueue(deps.adopt);
    this.#heartbeat = new Heartbeat(deps.clock);
    this.#onClientError = (error) => {
      this.#reason = error instanceof Error ? error.message : String(error);
    };
    // Without a listener a broken connection would end the process.
    deps.options.client.on('error', this.#onClientError);
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
      this.#fallBack(modelQueue, waiter);
      return;
    }
    this.#deps.queue.push(modelQueue, waiter);
    if (this.#mode === 'new') this.#join();
  }

  /** Drops a call that its caller has aborted. */
  drop(modelQueue: ModelQueue, waiter: Waiter): void {
    modelQueue.waiters.remove(waiter);
    this.#fallback.drop(waiter);
  }

  /** Reports how a call ended. In local mode the next join reports it. */
  report(quota: ProjectModelQuota, request: SettleRequest): void {
    if (this.#mode !== 'local' && this.#mode !== 'new') this.reportAlways(quota, request);
  }

  /** Reports even in local mode: Redis holds the reservation although its answer came too late. */
  reportAlways(quota: ProjectModelQuota, request: SettleRequest): void {
    const isMerged = quota.current !== quota;
    const reported = this.#deps.ledger.settle(quota, request).then(
      () => {
        if (isMerged && this.#mode === 'shared') this.#join();
      },
      (error: LedgerUnavailable) => this.onUnavailable(error),
    );
    this.#unreported.add(reported);
    void reported.then(() => this.#unreported.delete(reported));
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
    this.#deps.queue.isActive = false;
    this.#mode = 'joining';
    this.#join();
  }

  /** The heartbeat: reports this process to the ledger, and takes over what the others reported. */
  async observe(): Promise<void> {
    if (this.#mode === 'joining') await this.#joining;
    if (this.#mode !== 'shared') return;
    const { ledger, mirror, queue, peers, backlog, clock } = this.#deps;
    this.#deps.reclaim();
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
      this.#deps.armProbes();
      peers.update(reply.processes, reply.queuedElsewhere, reply.backlogs);
      // Other processes may have given back quota, or found that a model works again.
      queue.pump();
      if (mirror.identify(reply.consumers)) this.#join();
    } catch (error) {
      this.onUnavailable(error as LedgerUnavailable);
    }
  }

  async close(): Promise<void> {
    const { options, queue } = this.#deps;
    for (const { waiter } of [...queue.drain(), ...this.#fallback.drain()])
      waiter.reject(new ClosedError('key pool'));
    this.#heartbeat.stop();
    queue.isActive = false;
    const wasShared = this.#mode === 'shared';
    // The end of calls in flight is still reported while the client is open.
    this.#mode = wasShared ? 'closed' : 'new';
    await this.#local?.close();
    await Promise.all(this.#unreported);
    options.client.off('error', this.#onClientError);
  }

  #join(): void {
    const { ledger, mirror, clock } = this.#deps;
    if (this.#mode === 'new') this.#mode = 'joining';
    const now = clock.now();
    // A client queues what it cannot send, so attempts must not pile up.
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
    const { queue } = this.#deps;
    if (this.#mode === 'closed' || this.#mode === 'new') return;
    const wasLocal = this.#mode === 'local';
    this.#mode = 'shared';
    queue.isActive = true;
    for (const { modelQueue, waiter } of this.#fallback.drain()) queue.push(modelQueue, waiter);
    this.#local = undefined;
    void this.observe();
    this.#heartbeat.every(heartbeatMs, () => this.observe());
    queue.pump();
    if (wasLocal) this.#announce({ mode: 'shared' });
  }

  #goLocal(failure: string): void {
    const { options, ledger, mirror, queue, peers, clock, random } = this.#deps;
    this.#reason = failure;
    this.#mode = 'local';
    queue.isActive = false;
    if (!options.failClosed) {
      this.#local = openLocalShare({
        mirror,
        options,
        processes: peers.processes,
        clock,
        random,
        toLocal: (at) => ledger.toLocal(at),
      });
    }
    for (const { modelQueue, waiter } of queue.drain()) this.#fallBack(modelQueue, waiter);
    this.#heartbeat.every(retryMs, () => this.#join());
    this.#announce({ mode: 'local', reason: this.#reason });
  }

  #announce(change: LedgerChange): void {
    try {
      this.#deps.options.onLedgerChange?.(change);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  }

  #fallBack(modelQueue: ModelQueue, waiter: Waiter): void {
    const local = this.#local;
    if (local === undefined) {
      waiter.reject(
        new KeyPoolExhaustedError(
          `The limits are kept in Redis, which cannot be used: ${this.#reason} Retry later, or create the pool with failClosed: false.`,
          { retryAfterMs: retryMs },
        ),
      );
      return;
    }
    this.#fallback.push(local, modelQueue, waiter);
  }
}
