import type { Clock } from '../../core/clock.js';
import type { PooledKey } from '../health/pooled-key.js';
import type { Unit } from '../quota/project-model-quota.js';
import type { ModelLane } from '../scheduler/model-queue.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import type { Backlog } from './backlog.js';
import type { KeyMirror } from './key-mirror.js';
import type { Ledger, LedgerUnavailable } from './ledger.js';
import { type CallToReserve, endless, type ReserveReply, type SettleRequest } from './ledger-view.js';
import type { Rivals } from './rivals.js';

/** Calls that are offered to the ledger at once. */
const batchSize = 32;
/** Processes that wait for the same slot do not ask for it in the same millisecond. */
const jitterMs = 20;

/** What the ledger has reserved for a call. */
export interface Reservation {
  readonly id: string;
  readonly lane: ModelLane;
  readonly unit: Unit;
  readonly key: PooledKey;
  readonly at: number;
  readonly dayEnd: number;
  /** Tokens of the minute that had been used before. */
  readonly usedTokens: number;
}

export interface SharedQueueOptions {
  readonly ledger: Ledger;
  readonly mirror: KeyMirror;
  readonly backlog: Backlog;
  readonly rivals: Rivals;
  readonly clock: Clock;
  readonly random: () => number;
  /** How many more calls may start in this process. */
  readonly spare: () => number;
  readonly grant: (waiter: Waiter, reservation: Reservation) => void;
  /** Rejects a call that cannot be served before `at`. */
  readonly refuse: (lane: ModelLane, waiter: Waiter, at: number) => void;
  /** Gives back what nobody wants any more. */
  readonly release: (reservation: Reservation) => void;
  readonly onUnavailable: (error: LedgerUnavailable) => void;
}

/**
 * The calls of one process that wait for the ledger. They are offered in their turn, one batch at a
 * time, and again when a call ends here or when the ledger said that a slot comes free.
 */
export class SharedQueue {
  /** Whether the ledger can be asked. */
  isOpen = false;
  readonly #options: SharedQueueOptions;
  readonly #busy = new Set<ModelLane>();
  readonly #again = new Set<ModelLane>();
  #reservations = 0;
  #timer: unknown;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(options: SharedQueueOptions) {
    this.#options = options;
  }

  push(lane: ModelLane, waiter: Waiter): void {
    lane.queue.push(waiter);
    this.#offer(lane);
  }

  /** Calls that wait. */
  get size(): number {
    let size = 0;
    for (const lane of this.#options.mirror.ring.lanes()) size += lane.queue.size;
    return size;
  }

  /** Offers again what waits. */
  pump(): void {
    for (const lane of this.#options.mirror.ring.lanes()) this.#offer(lane);
    this.#arm();
  }

  /** Takes out everybody who waits. */
  drain(): readonly { readonly lane: ModelLane; readonly waiter: Waiter }[] {
    const all = [...this.#options.mirror.ring.lanes()].flatMap((lane) =>
      [...lane.queue.inTurn()].map((waiter) => ({ lane, waiter })),
    );
    for (const { lane, waiter } of all) lane.queue.remove(waiter);
    this.#arm();
    return all;
  }

  nextId(): string {
    this.#reservations += 1;
    return `${this.#options.ledger.process}.${this.#reservations}`;
  }

  #offer(lane: ModelLane): void {
    if (this.#busy.has(lane)) this.#again.add(lane);
    else if (this.isOpen && lane.queue.size > 0) void this.#serve(lane);
  }

  async #serve(lane: ModelLane): Promise<void> {
    this.#busy.add(lane);
    try {
      do {
        this.#again.delete(lane);
        await this.#serveBatch(lane);
      } while (this.isOpen && this.#again.has(lane));
    } catch (error) {
      this.#options.onUnavailable(error as LedgerUnavailable);
    } finally {
      this.#busy.delete(lane);
      this.#again.delete(lane);
    }
    this.#arm();
  }

  async #serveBatch(lane: ModelLane): Promise<void> {
    const { ledger, mirror, backlog, clock, spare } = this.#options;
    this.#expire(lane);
    const offered: { readonly waiter: Waiter; readonly call: CallToReserve }[] = [];
    const most = Math.min(batchSize, spare());
    const isPaced = backlog.isPaced(lane);
    for (const waiter of lane.queue.inTurn()) {
      if (offered.length >= most) break;
      offered.push({ waiter, call: this.#describe(lane, waiter, isPaced(waiter.need)) });
    }
    if (offered.length === 0) return;
    const { units } = lane;
    const { pooledKeys } = ledger.layout.setOf(units);
    const dayEnd = ledger.dayEnd();
    const reservationsOf = (reply: ReserveReply) =>
      reply.outcomes.flatMap(({ grant }, place) => {
        const unit = units[grant?.[0] ?? -1];
        const key = pooledKeys[grant?.[0] ?? -1]?.[grant?.[1] ?? -1];
        const offer = offered[place];
        if (unit === undefined || key === undefined || offer === undefined) return [];
        return [
          {
            waiter: offer.waiter,
            reservation: {
              id: offer.call.id,
              lane,
              unit,
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
      lane,
      offered.map(({ call }) => call),
      (late) => {
        for (const { reservation } of reservationsOf(late)) this.#options.release(reservation);
      },
    );
    const now = clock.now();
    const breaker = lane.breaker.gate;
    if (!reply.parked && settled === mirror.settled && !breaker.isOpen)
      breaker.open(Number.POSITIVE_INFINITY);
    mirror.hydrate(units, reply, now, settled);
    for (const { waiter, reservation } of reservationsOf(reply)) {
      if (lane.queue.take(waiter)) this.#options.grant(waiter, reservation);
      else this.#options.release(reservation);
    }
    const waitMs = reply.wakeAfter ?? endless;
    lane.wakeAt = waitMs === endless ? Number.POSITIVE_INFINITY : now + waitMs + this.#jitter();
    reply.outcomes.forEach(({ after }, place) => {
      const waiter = offered[place]?.waiter;
      if (after === undefined || waiter === undefined) return;
      const at = after === endless ? Number.POSITIVE_INFINITY : now + after;
      const isHopeless = at > waiter.deadline || at === Number.POSITIVE_INFINITY;
      if (isHopeless && lane.queue.remove(waiter)) this.#options.refuse(lane, waiter, at);
    });
    const isServed = reply.units === undefined;
    if (isServed && lane.queue.size > 0 && spare() > 0) this.#again.add(lane);
  }

  #describe(lane: ModelLane, waiter: Waiter, paced: boolean): CallToReserve {
    const { clock, mirror } = this.#options;
    const { need, tokens } = waiter;
    const project = mirror.ring.projectName(need.project);
    const only = lane.units.findIndex((unit) => unit.project.name === project);
    return {
      id: this.nextId(),
      tokens,
      fit: need.estimatedTokens,
      within: Math.ceil(waiter.deadline - clock.now()),
      ...(project === undefined ? {} : { only: only + 1 }),
      ...(paced ? { paced } : {}),
    };
  }

  #expire(lane: ModelLane): void {
    const now = this.#options.clock.now();
    if (lane.queue.earliestDeadline > now) return;
    for (const waiter of lane.queue.expired(now)) {
      if (lane.queue.remove(waiter)) this.#options.refuse(lane, waiter, Math.max(now, lane.wakeAt));
    }
  }

  #jitter(): number {
    return this.#options.rivals.exist ? this.#options.random() * jitterMs : 0;
  }

  #arm(): void {
    const { clock, mirror } = this.#options;
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const lane of mirror.ring.lanes()) {
      if (lane.queue.size > 0) wakeAt = Math.min(wakeAt, lane.wakeAt, lane.queue.earliestDeadline);
    }
    if (wakeAt === this.#timerAt) return;
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = wakeAt;
    if (wakeAt === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, Math.ceil(wakeAt - clock.now()));
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
      for (const lane of mirror.ring.lanes()) this.#expire(lane);
      this.pump();
    }, delayMs);
  }
}

/** Gives back a reservation as if it had never been made. */
export function releaseRequest(reservation: Reservation, mirror: KeyMirror): SettleRequest {
  return {
    id: reservation.id,
    at: reservation.at,
    ok: false,
    refund: true,
    bookedDayEnd: reservation.dayEnd,
    proven: [],
    pairIsProven: false,
    refused: false,
    tooLarge: false,
    close: [],
    touched: mirror.idsOf(reservation),
  };
}
