import type { Clock } from '../../clock.js';
import { KeyPoolExhaustedError } from '../../errors.js';
import type { KeyLease } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { ModelLane } from '../model-lane.js';
import type { ScheduledKeyPool } from '../scheduled-key-pool.js';
import type { Unit } from '../unit.js';
import type { Waiter } from '../wait-queue.js';
import type { KeyMirror } from './key-mirror.js';
import type { Ledger, LedgerUnavailable } from './ledger.js';
import type { SettleRequest } from './ledger-view.js';
import { openLocalShare } from './local-share.js';
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
  readonly clock: Clock;
  readonly random: () => number;
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
  readonly #delegated = new Map<Waiter, { readonly lane: ModelLane; readonly controller: AbortController }>();
  readonly #untold = new Set<Promise<void>>();
  #timer: unknown;
  #joiningSince: number | undefined;
  #joining: Promise<void> = Promise.resolve();
  #processes: number;
  #queuedElsewhere = 0;

  constructor(parts: LedgerLinkOptions) {
    this.#parts = parts;
    this.#processes = parts.options.expectedProcesses ?? 1;
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
  get delegated(): number {
    return this.#delegated.size;
  }

  /** How many calls are before one that has `ahead` before it here: the processes take turns. */
  aheadEverywhere(ahead: number): number {
    return ahead + Math.min(this.#queuedElsewhere, ahead * (this.#processes - 1));
  }

  push(lane: ModelLane, waiter: Waiter): void {
    if (this.#mode === 'local') {
      this.#delegate(lane, waiter);
      return;
    }
    this.#parts.queue.push(lane, waiter);
    if (this.#mode === 'new') this.#join();
  }

  /** The caller does not wait any more. */
  drop(lane: ModelLane, waiter: Waiter): void {
    lane.queue.remove(waiter);
    this.#delegated.get(waiter)?.controller.abort();
    this.#delegated.delete(waiter);
  }

  /** Tells the ledger how a call ended; without one it learns that when it is joined again. */
  tell(unit: Unit, request: SettleRequest): void {
    if (this.#mode !== 'local' && this.#mode !== 'new') this.tellInAnyCase(unit, request);
  }

  /** For what the ledger has only just said, be it too late: it is there, whatever was thought of it. */
  tellInAnyCase(unit: Unit, request: SettleRequest): void {
    const isMerged = unit.current !== unit;
    const told = this.#parts.ledger.settle(unit, request).then(
      () => {
        if (isMerged && this.#mode === 'shared') this.#join();
      },
      (error: LedgerUnavailable) => this.lose(error),
    );
    this.#untold.add(told);
    void told.then(() => this.#untold.delete(told));
  }

  addKeys(keys: readonly KeySpec[]): void {
    this.#local?.addKeys(keys);
  }

  /** The ledger did not answer, or has lost its data. */
  lose(error: LedgerUnavailable): void {
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
    const { ledger, mirror, queue, clock } = this.#parts;
    mirror.calls.forget(ledger.now());
    const units = mirror.units();
    const { settled } = mirror;
    const running = mirror.calls
      .of(units)
      .map((calls) => calls.filter((call) => call.isRunning).map(({ id }) => id));
    const queued = units.length === 0 ? 0 : queue.size;
    try {
      const reply = await ledger.observe(units, { queued, running });
      mirror.hydrate(units, reply, clock.now(), settled);
      this.#processes = Math.max(1, reply.processes);
      this.#queuedElsewhere = reply.queuedElsewhere;
      queue.hasRivals = this.#processes > 1;
      if (mirror.identify(reply.consumers)) this.#join();
    } catch (error) {
      this.lose(error as LedgerUnavailable);
    }
  }

  async close(reason: KeyPoolExhaustedError): Promise<void> {
    const { clock, options, queue } = this.#parts;
    for (const { waiter } of queue.drain()) waiter.reject(reason);
    for (const [waiter, { controller }] of this.#delegated) {
      this.#delegated.delete(waiter);
      controller.abort();
      waiter.reject(reason);
    }
    clock.clearTimeout(this.#timer);
    this.#timer = undefined;
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
    const units = mirror.units();
    const ended = () => {
      this.#joiningSince = undefined;
    };
    this.#joining = ledger.join(units, mirror.known(units, ledger.dayEnd(), now), ended).then(
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
    const waiting = [...this.#delegated];
    this.#delegated.clear();
    for (const [waiter, { lane, controller }] of waiting) {
      controller.abort();
      queue.push(lane, waiter);
    }
    this.#local = undefined;
    void this.observe();
    this.#schedule(heartbeatMs, () => this.observe());
    queue.pump();
    if (wasLocal) this.#announce({ mode: 'shared' });
  }

  #goLocal(failure: string): void {
    const { options, ledger, mirror, queue, clock, random } = this.#parts;
    this.#reason = failure;
    this.#mode = 'local';
    queue.isOpen = false;
    if (options.failClosed !== true) {
      this.#local = openLocalShare({
        mirror,
        rules: options.limits ?? [],
        processes: this.#processes,
        clock,
        random,
        maxWaitMs: options.maxWaitMs ?? 60_000,
        maxQueueLength: options.maxQueueLength ?? 10_000,
        maxInFlight: options.maxInFlight ?? 512,
        maxInFlightPerUnit: options.maxInFlightPerUnit ?? 256,
        toLocal: (at) => ledger.toLocal(at),
      });
    }
    for (const { lane, waiter } of queue.drain()) this.#delegate(lane, waiter);
    this.#schedule(retryMs, () => this.#join());
    this.#announce({ mode: 'local', reason: this.#reason });
  }

  #announce(change: LedgerChange): void {
    try {
      this.#parts.options.onLedgerChange?.(change);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  }

  #delegate(lane: ModelLane, waiter: Waiter): void {
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
    const controller = new AbortController();
    this.#delegated.set(waiter, { lane, controller });
    const { deadline, since } = waiter;
    local.acquire({ ...waiter.need, deadline, since }, { signal: controller.signal }).then(
      (lease) => {
        // A lease that arrives together with an abort is given back.
        if (this.#delegated.delete(waiter)) this.#parts.adopt(waiter, lease);
        else lease.settle(unused);
      },
      (error: unknown) => {
        if (this.#delegated.delete(waiter)) waiter.reject(error);
      },
    );
  }

  #schedule(everyMs: number, run: () => void): void {
    const { clock } = this.#parts;
    clock.clearTimeout(this.#timer);
    const timer = clock.setTimeout(
      () => {
        run();
        // What ran may have set another rhythm.
        if (this.#timer === timer) this.#schedule(everyMs, run);
      },
      everyMs,
      { isBackground: true },
    );
    this.#timer = timer;
  }
}

const unused = {
  ok: false,
  sent: false,
  failure: { kind: 'network', scope: 'call', message: 'The caller left before the call was made.' },
} as const;
