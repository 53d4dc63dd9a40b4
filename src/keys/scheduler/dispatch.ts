import type { LeaseRequest } from '../key-pool.js';
import type { Unit } from '../quota/project-model-quota.js';
import type { ModelLane } from './model-queue.js';
import type { Waiter } from './wait-queue.js';

/** What is done with those whose turn it is. */
export interface TurnActions {
  /** Whether one more call may run. */
  hasRoom(): boolean;
  /** The project that the call is bound to. */
  projectOf(need: LeaseRequest): string | undefined;
  grant(waiter: Waiter, unit: Unit): void;
  /** The call cannot start before `at`, which is too late. */
  refuse(waiter: Waiter, at: number): void;
}

/** Refuses those whose time is over. */
export function expireTurns(lane: ModelLane, now: number, actions: TurnActions): void {
  if (lane.queue.earliestDeadline > now) return;
  for (const waiter of lane.queue.expired(now)) {
    lane.queue.remove(waiter);
    const { need, tokens } = waiter;
    const ahead = lane.queue.ahead(need, now);
    const project = actions.projectOf(need);
    const at = lane.earliest(need, project, tokens, now)?.at ?? Number.POSITIVE_INFINITY;
    actions.refuse(waiter, Math.max(at, lane.forecast(need, project, tokens, ahead, now)));
  }
}

/**
 * Gives out what is free to those who wait, in turn, and sets when the next slot comes. Who is first
 * but blocked keeps its unit, so that no stream of smaller calls can pass it for ever; others may pass
 * on the remaining ones.
 */
export function offerTurns(lane: ModelLane, now: number, actions: TurnActions): void {
  const reserved = new Set<Unit>();
  // Who only waits for the even pace keeps its unit from those who do so too, and from nobody else.
  const reservedInPace = new Set<Unit>();
  const longBacklog = lane.longBacklog(now);
  lane.wakeAt = Number.POSITIVE_INFINITY;
  for (const waiter of lane.queue.inTurn()) {
    if (!actions.hasRoom()) return;
    const { need, tokens } = waiter;
    const paced = lane.isPaced(need, longBacklog, now);
    const taken = paced ? reservedInPace : reserved;
    if (taken.size === lane.units.length) continue;
    const project = actions.projectOf(need);
    const unit = lane.choose(need, project, tokens, now, taken, paced);
    if (unit !== undefined) {
      lane.queue.take(waiter);
      actions.grant(waiter, unit);
      continue;
    }
    const earliest = lane.couldStartAt(need, project, tokens, now);
    if (earliest > waiter.deadline || earliest === Number.POSITIVE_INFINITY) {
      lane.queue.remove(waiter);
      actions.refuse(waiter, earliest);
      continue;
    }
    const slot = lane.earliest(need, project, tokens, now, taken, paced);
    if (slot === undefined) continue;
    reservedInPace.add(slot.unit);
    if (!paced || slot.unit.freeAt(tokens, now) > now) reserved.add(slot.unit);
    if (slot.at > now) lane.wakeAt = Math.min(lane.wakeAt, slot.at);
    if (reserved.size === lane.units.length) return;
  }
}
