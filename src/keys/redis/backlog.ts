import type { Clock } from '../../core/clock.js';
import type { LeaseRequest } from '../key-pool.js';
import { type ModelLane, pacedBacklog } from '../scheduler/model-queue.js';
import { callsPerMinute } from './forecast.js';
import type { KeyMirror } from './key-mirror.js';
import type { LedgerIds } from './ledger-ids.js';
import type { Rivals } from './rivals.js';

/** So many backlogs of each model the others are told of, the largest ones. */
const mostTold = 16;

/** Which calls belong to a backlog that is long in all processes together. */
export class Backlog {
  readonly #mirror: KeyMirror;
  readonly #rivals: Rivals;
  readonly #ids: LedgerIds;
  readonly #clock: Clock;

  constructor(mirror: KeyMirror, rivals: Rivals, ids: LedgerIds, clock: Clock) {
    this.#mirror = mirror;
    this.#rivals = rivals;
    this.#ids = ids;
    this.#clock = clock;
  }

  /**
   * Tells of each call for the model whether it is served evenly, so that others find quota when they come:
   * batch calls of a long backlog or while people ask anywhere, and the long backlog of one tenant beside
   * others.
   */
  isPaced(lane: ModelLane): (need: LeaseRequest) => boolean {
    const { model } = lane;
    const isTold = (kind: 'people' | 'tenants') => this.#rivals.backlog(this.#ids.askers(model, kind)) > 0;
    const peopleAsk = lane.isAskedByPeople(this.#clock.now()) || isTold('people');
    const hasTenants = lane.hasTenants || isTold('tenants');
    const isLong = this.#isLong(lane);
    return (need) => (need.priority === 'batch' ? peopleAsk || isLong(need) : hasTenants && isLong(need));
  }

  /** Tells of each call for the model whether too many like it wait. */
  #isLong(lane: ModelLane): (need: LeaseRequest) => boolean {
    const { queue, model } = lane;
    const elsewhere = new Map<string | undefined, number>();
    const longest = Math.max(1, this.#callsPerMinute(lane) * pacedBacklog);
    return (need) => {
      const own = queue.backlog(need);
      if (!this.#rivals.haveBacklogs) return own > longest;
      const tenant = need.priority === 'batch' ? undefined : (need.tenant ?? 'default');
      let others = elsewhere.get(tenant);
      if (others === undefined) {
        others = this.#rivals.backlog(this.#ids.backlog(model, tenant));
        elsewhere.set(tenant, others);
      }
      return own + others > longest;
    };
  }

  /** Until when a call waits: in a long backlog the answer gets its time. */
  latestStart(lane: ModelLane, need: LeaseRequest, deadline: number, since: number): number {
    if (lane.queue.size === 0) return deadline;
    return this.#isLong(lane)(need) ? lane.startInTime(deadline, since) : deadline;
  }

  /** What the others have to know of the backlogs here, and of who asks. */
  describe(): readonly (readonly [id: string, size: number])[] {
    return [...this.#mirror.ring.lanes()].flatMap((lane) => [
      ...this.#askersOf(lane),
      ...lane.queue
        .backlogs()
        .filter(({ size }) => size > 1)
        .sort((a, b) => b.size - a.size)
        .slice(0, mostTold)
        .map(({ tenant, size }) => [this.#ids.backlog(lane.model, tenant), size] as const),
    ]);
  }

  #askersOf(lane: ModelLane): readonly (readonly [id: string, size: number])[] {
    const people = lane.isAskedByPeople(this.#clock.now()) ? (['people'] as const) : [];
    const tenants = lane.hasTenants ? (['tenants'] as const) : [];
    return [...people, ...tenants].map((kind) => [this.#ids.askers(lane.model, kind), 1]);
  }

  #callsPerMinute(lane: ModelLane): number {
    let admitted = 0;
    for (const unit of lane.units) {
      if (unit.project.keys.length === 0) continue;
      const view = this.#mirror.seen(unit)?.view;
      if (view === undefined) return Number.POSITIVE_INFINITY;
      admitted += callsPerMinute(view, lane.queue.meanTokens);
    }
    return admitted;
  }
}
