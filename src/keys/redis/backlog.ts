import type { KeyNeed } from '../key-pool.js';
import { type ModelLane, pacedBacklog } from '../model-lane.js';
import { callsPerMinute } from './forecast.js';
import type { KeyMirror } from './key-mirror.js';
import type { Rivals } from './rivals.js';

/** Which calls belong to a backlog that is long for all processes together. */
export class Backlog {
  readonly #mirror: KeyMirror;
  readonly #rivals: Rivals;

  constructor(mirror: KeyMirror, rivals: Rivals) {
    this.#mirror = mirror;
    this.#rivals = rivals;
  }

  /** Tells of each call for the model whether it is served evenly, so that others find quota when they come. */
  isPaced(lane: ModelLane): (need: KeyNeed) => boolean {
    let longest: number | undefined;
    return (need) => {
      const own = lane.queue.backlog(need);
      if (own <= 1) return false;
      longest ??= this.#longest(lane);
      return this.#rivals.everywhere(own) > longest;
    };
  }

  /** Until when a call waits: in a long backlog the answer gets its time. */
  latestStart(lane: ModelLane, need: KeyNeed, deadline: number, since: number): number {
    return this.isPaced(lane)(need) ? lane.startInTime(deadline, since) : deadline;
  }

  #longest(lane: ModelLane): number {
    let admitted = 0;
    for (const unit of lane.units) {
      if (unit.project.keys.length === 0) continue;
      const view = this.#mirror.seen(unit)?.view;
      if (view === undefined) return Number.POSITIVE_INFINITY;
      admitted += callsPerMinute(view, lane.queue.meanTokens);
    }
    return admitted * pacedBacklog;
  }
}
