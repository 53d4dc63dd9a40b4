import type { KeyNeed } from '../key-pool.js';
import { type ModelLane, pacedBacklog } from '../model-lane.js';
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

  constructor(mirror: KeyMirror, rivals: Rivals, ids: LedgerIds) {
    this.#mirror = mirror;
    this.#rivals = rivals;
    this.#ids = ids;
  }

  /** Tells of each call for the model whether it is served evenly, so that others find quota when they come. */
  isPaced(lane: ModelLane): (need: KeyNeed) => boolean {
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
  latestStart(lane: ModelLane, need: KeyNeed, deadline: number, since: number): number {
    if (lane.queue.size === 0) return deadline;
    return this.isPaced(lane)(need) ? lane.startInTime(deadline, since) : deadline;
  }

  /** What the others have to know of the backlogs here. */
  describe(): readonly (readonly [id: string, size: number])[] {
    return [...this.#mirror.ring.lanes()].flatMap(({ model, queue }) =>
      queue
        .backlogs()
        .filter(({ size }) => size > 1)
        .sort((a, b) => b.size - a.size)
        .slice(0, mostTold)
        .map(({ tenant, size }) => [this.#ids.backlog(model, tenant), size] as const),
    );
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
