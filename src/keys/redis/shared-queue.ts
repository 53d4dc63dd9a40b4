import type { PooledKey } from '../health/pooled-key.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import { WakeTimer } from '../scheduler/wake-timer.js';
import type { Backlog } from './backlog.js';
import type { KeyMirror } from './key-mirror.js';
import type { Ledger, LedgerUnavailable } from './ledger.js';
import { endless, type QueuedRequest, type ReserveReply, type SettleRequest } from './ledger-view.js';
import type { PoolDeps } from './pool-deps.js';

/** Calls that are offered to the ledger at once. */
const batchSize = 32;
/** Spreads the requests of processes that wait for the same slot. */
const jitterMs = 20;

/** What the ledger has reserved for a call. */
export interface Reservation {
  readonly id: string;
  readonly modelQueue: ModelQueue;
  readonly quota: ProjectModelQuota;
  readonly key: PooledKey;
  readonly at: number;
  readonly dayEnd: number;
  /** Tokens of the minute that were used before. */
  readonly usedTokens: number;
}

export interface SharedQueueDeps extends PoolDeps {
  readonly ledger: Ledger;
  readonly backlog: Backlog;
  readonly random: () => number;
  /** How many more calls may start in this process. */
  readonly spare: () => number;
  readonly grant: (waiter: Waiter, reservation: Reservation) => void;
  /** Rejects a call that cannot be served before `at`. */
  readonly refuse: (modelQueue: ModelQueue, waiter: Waiter, at: number) => void;
  /** Gives back a reservation whose caller has left. */
  readonly release: (reservation: Reservation) => void;
  readonly onUnavailable: (error: LedgerUnavailable) => void;
  /** A call that cannot start within this is refused, in milliseconds. */
  readonly maxWaitMs: number;
}

/**
 * The calls of one process that wait for the ledger. Offers them in service order, one batch at a time,
 * and again when a call ends in this process or when a slot comes free that the ledger has announced.
 */
export class SharedQueue {
  /** Whether the ledger answers. */
  isActive = false;
  readonly #deps: SharedQueueDeps;
  readonly #busy = new Set<ModelQueue>();
  readonly #again = new Set<ModelQueue>();
  readonly #timer: WakeTimer;
  #reservations = 0;

  constructor(deps: SharedQueueDeps) {
    this.#deps = deps;
    this.#timer = new WakeTimer(deps.clock, () => {
      for (const modelQueue of this.#modelQueues()) this.#expire(modelQueue);
      this.pump();
    });
  }

  push(modelQueue: ModelQueue, waiter: Waiter): void {
    modelQueue.waiters.push(waiter);
    this.#offer(modelQueue);
  }

  /** Calls that wait. */
  get size(): number {
    let size = 0;
    for (const modelQueue of this.#modelQueues()) size += modelQueue.waiters.size;
    return size;
  }

  /** Offers all waiting calls again. */
  pump(): void {
    for (const modelQueue of this.#modelQueues()) this.#offer(modelQueue);
    this.#arm();
  }

  /** Removes and returns all waiting calls. */
  drain(): readonly { readonly modelQueue: ModelQueue; readonly waiter: Waiter }[] {
    const all = [...this.#modelQueues()].flatMap((modelQueue) =>
      [...modelQueue.waiters.inServiceOrder()].map((waiter) => ({ modelQueue, waiter })),
    );
    for (const { modelQueue, waiter } of all) modelQueue.waiters.remove(waiter);
    this.#arm();
    return all;
  }

  nextId(): string {
    this.#reservations += 1;
    return `${this.#deps.ledger.process}.${this.#reservations}`;
  }

  #offer(modelQueue: ModelQueue): void {
    if (this.#busy.has(modelQueue)) this.#again.add(modelQueue);
    else if (this.isActive && modelQueue.waiters.size > 0) void this.#serve(modelQueue);
  }

  async #serve(modelQueue: ModelQueue): Promise<void> {
    this.#busy.add(modelQueue);
    try {
      do {
        this.#again.delete(modelQueue);
        await this.#serveBatch(modelQueue);
      } while (this.isActive && this.#again.has(modelQueue));
    } catch (error) {
      this.#deps.onUnavailable(error as LedgerUnavailable);
    } finally {
      this.#busy.delete(modelQueue);
      this.#again.delete(modelQueue);
    }
    this.#arm();
  }

  async #serveBatch(modelQueue: ModelQueue): Promise<void> {
    const { ledger, mirror, backlog, clock, spare } = this.#deps;
    this.#expire(modelQueue);
    const offered: { readonly waiter: Waiter; readonly call: QueuedRequest }[] = [];
    const most = Math.min(batchSize, spare());
    const isPaced = backlog.isPaced(modelQueue);
    for (const waiter of modelQueue.waiters.inServiceOrder()) {
      if (offered.length >= most) break;
      offered.push({ waiter, call: this.#describe(modelQueue, waiter, isPaced(waiter.request)) });
    }
    if (offered.length === 0) return;
    const { quotas } = modelQueue;
    const { pooledKeys } = ledger.layout.setOf(quotas);
    const dayEnd = ledger.dayEnd();
    const reservationsOf = (reply: ReserveReply) =>
      reply.outcomes.flatMap(({ grant }, place) => {
        const quota = quotas[grant?.[0] ?? -1];
        const key = pooledKeys[grant?.[0] ?? -1]?.[grant?.[1] ?? -1];
        const offer = offered[place];
        if (quota === undefined || key === undefined || offer === undefined) return [];
        return [
          {
            waiter: offer.waiter,
            reservation: {
              id: offer.call.id,
              modelQueue,
              quota,
              key,
              at: reply.now,
              dayEnd,
              usedTokens: grant?.[2] ?? 0,
            },
          },
        ];
      });
    const { settled } = mirror;
    const reply = await ledger.reserve(
      modelQueue,
      offered.map(({ call }) => call),
      (late) => {
        for (const { reservation } of reservationsOf(late)) this.#deps.release(reservation);
      },
    );
    const now = clock.now();
    const breaker = modelQueue.breaker.gate;
    if (!reply.parked && settled === mirror.settled && !breaker.isHealthy)
      breaker.unblock(Number.POSITIVE_INFINITY);
    mirror.hydrate(quotas, reply, now, settled);
    for (const { waiter, reservation } of reservationsOf(reply)) {
      if (modelQueue.waiters.take(waiter)) this.#deps.grant(waiter, reservation);
      else this.#deps.release(reservation);
    }
    const waitMs = reply.wakeAfter ?? endless;
    modelQueue.wakeAt = waitMs === endless ? Number.POSITIVE_INFINITY : now + waitMs + this.#jitter();
    let isRefused = false;
    reply.outcomes.forEach(({ after, rejected }, place) => {
      const waiter = offered[place]?.waiter;
      if (after === undefined || waiter === undefined) return;
      const at = after === endless ? Number.POSITIVE_INFINITY : now + after;
      const isHopeless = rejected === true || at > Math.min(waiter.deadline, now + this.#deps.maxWaitMs);
      if (!isHopeless) return;
      isRefused = true;
      if (modelQueue.waiters.remove(waiter)) this.#deps.refuse(modelQueue, waiter, at);
    });
    const isServed = reply.quotas === undefined;
    // What holds back the calls that were offered need not hold back those behind them.
    if ((isServed || isRefused) && modelQueue.waiters.size > 0 && spare() > 0) this.#again.add(modelQueue);
  }

  #describe(modelQueue: ModelQueue, waiter: Waiter, paced: boolean): QueuedRequest {
    const { clock, mirror } = this.#deps;
    const { request, tokens } = waiter;
    const project = mirror.registry.projectName(request.project);
    const only = modelQueue.quotas.findIndex((quota) => quota.project.name === project);
    return {
      id: this.nextId(),
      tokens,
      fit: request.estimatedTokens,
      within: Math.ceil(waiter.deadline - clock.now()),
      ...(project === undefined ? {} : { only: only + 1 }),
      ...(paced ? { paced } : {}),
    };
  }

  #expire(modelQueue: ModelQueue): void {
    const now = this.#deps.clock.now();
    if (modelQueue.waiters.earliestDeadline > now) return;
    for (const waiter of modelQueue.waiters.expired(now)) {
      if (modelQueue.waiters.remove(waiter))
        this.#deps.refuse(modelQueue, waiter, Math.max(now, modelQueue.wakeAt));
    }
  }

  #jitter(): number {
    return this.#deps.peers.exist ? this.#deps.random() * jitterMs : 0;
  }

  #arm(): void {
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const { waiters, wakeAt: slotAt } of this.#modelQueues()) {
      if (waiters.size > 0) wakeAt = Math.min(wakeAt, slotAt, waiters.earliestDeadline);
    }
    this.#timer.set(wakeAt);
  }

  #modelQueues(): Iterable<ModelQueue> {
    return this.#deps.mirror.registry.modelQueues();
  }
}

/** Gives back a reservation without any cost. */
export function releaseRequest(reservation: Reservation, mirror: KeyMirror): SettleRequest {
  return {
    id: reservation.id,
    at: reservation.at,
    ok: false,
    refund: true,
    bookedDayEnd: reservation.dayEnd,
    proven: [],
    projectModelIsProven: false,
    refused: false,
    tooLarge: false,
    block: [],
    touched: mirror.idsOf(reservation),
  };
}
