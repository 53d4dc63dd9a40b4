import type { LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from './model-queue.js';
import { defaultTenant, type Waiter } from './wait-queue.js';

/** What the dispatcher does with a waiter. */
export interface DispatchActions {
  /** Whether the pool may run one more call. */
  hasRoom(): boolean;
  /** The project that the call is bound to. */
  projectOf(request: LeaseRequest): string | undefined;
  /** The call gets the free quota. It stays in the queue until the dispatch is over. */
  grant(waiter: Waiter, quota: ProjectModelQuota, paced: boolean): void;
  /** The call waits for the quota, which is free at `at`. */
  hold?(quota: ProjectModelQuota, at: number, paced: boolean): void;
  /** A call that cannot start within this is refused, in milliseconds. */
  readonly maxWaitMs: number;
  /** The call cannot start soon, or not before `at`. */
  refuse(waiter: Waiter, at?: number): void;
}

/**
 * Refuses waiters whose deadline has passed, grants free slots to the others in service order, and sets when
 * the next slot comes free. A waiter that
 * cannot start yet reserves the quota that it waits for, so that a stream of smaller calls cannot overtake
 * it forever; later waiters may use the other quotas.
 */
export function dispatch(modelQueue: ModelQueue, now: number, actions: DispatchActions): void {
  expireWaiters(modelQueue, now, actions);
  const reserved = new Set<ProjectModelQuota>();
  // A waiter held back only by pacing reserves its quota against other paced waiters alone.
  const reservedAgainstPaced = new Set<ProjectModelQuota>();
  const longBacklog = modelQueue.longBacklog(now);
  // Waiters that are served or refused leave the queue when the dispatch is over.
  const gone = new Map<string, number>();
  const refused = new Set<Waiter>();
  const isHopeless = ({ deadline, request, tokens }: Waiter) =>
    modelQueue.couldStartAt(request, actions.projectOf(request), tokens, now) >
    Math.min(deadline, now + actions.maxWaitMs);
  const refuse = (waiter: Waiter) => {
    actions.refuse(waiter);
    refused.add(waiter);
    gone.set(lineOf(waiter), (gone.get(lineOf(waiter)) ?? 0) + 1);
  };
  modelQueue.wakeAt = Number.POSITIVE_INFINITY;
  // The others were judged when they came, and are again when it is their turn.
  for (const waiter of modelQueue.waiters.arrivals) if (isHopeless(waiter)) refuse(waiter);
  for (const waiter of modelQueue.waiters.inServiceOrder()) {
    if (!actions.hasRoom()) return;
    if (refused.has(waiter)) continue;
    const { request, tokens } = waiter;
    const line = lineOf(waiter);
    const before = gone.get(line) ?? 0;
    const paced = modelQueue.isPaced(request, longBacklog + before, now);
    const taken = paced ? reservedAgainstPaced : reserved;
    if (taken.size === modelQueue.quotas.length) continue;
    const project = actions.projectOf(request);
    const quota = modelQueue.choose(request, project, tokens, now, taken, paced);
    if (quota !== undefined) {
      actions.grant(waiter, quota, paced);
      gone.set(line, before + 1);
      continue;
    }
    if (isHopeless(waiter)) {
      refuse(waiter);
      continue;
    }
    const slot = modelQueue.earliest(request, project, tokens, now, taken, paced);
    if (slot === undefined) continue;
    reservedAgainstPaced.add(slot.quota);
    if (!paced || slot.quota.freeAt(tokens, now) > now) reserved.add(slot.quota);
    if (slot.at > now) modelQueue.wakeAt = Math.min(modelQueue.wakeAt, slot.at);
    actions.hold?.(slot.quota, slot.at, paced);
    if (reserved.size === modelQueue.quotas.length) return;
  }
}

/** Refuses the waiters whose deadline has passed. */
function expireWaiters(modelQueue: ModelQueue, now: number, actions: DispatchActions): void {
  if (modelQueue.waiters.earliestDeadline > now) return;
  for (const waiter of modelQueue.waiters.expired(now)) {
    const { request, tokens } = waiter;
    const ahead = modelQueue.waiters.ahead(request, now);
    const project = actions.projectOf(request);
    const at = modelQueue.earliest(request, project, tokens, now)?.at ?? Number.POSITIVE_INFINITY;
    actions.refuse(waiter, Math.max(at, modelQueue.forecast(request, project, tokens, ahead, now)));
  }
}

/** The line that a waiter stands in. */
function lineOf({ request }: Waiter): string {
  return request.priority === 'batch' ? 'batch' : `tenant ${request.tenant ?? defaultTenant}`;
}
