import type { LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from './model-queue.js';
import type { Waiter } from './wait-queue.js';

/** What is done with those whose turn it is. */
export interface DispatchActions {
  /** Whether one more call may run. */
  hasRoom(): boolean;
  /** The project that the call is bound to. */
  projectOf(request: LeaseRequest): string | undefined;
  grant(waiter: Waiter, quota: ProjectModelQuota): void;
  /** The call cannot start before `at`, which is too late. */
  refuse(waiter: Waiter, at: number): void;
}

/** Refuses those whose time is over. */
export function expireWaiters(modelQueue: ModelQueue, now: number, actions: DispatchActions): void {
  if (modelQueue.waiters.earliestDeadline > now) return;
  for (const waiter of modelQueue.waiters.expired(now)) {
    modelQueue.waiters.remove(waiter);
    const { request, tokens } = waiter;
    const ahead = modelQueue.waiters.ahead(request, now);
    const project = actions.projectOf(request);
    const at = modelQueue.earliest(request, project, tokens, now)?.at ?? Number.POSITIVE_INFINITY;
    actions.refuse(waiter, Math.max(at, modelQueue.forecast(request, project, tokens, ahead, now)));
  }
}

/**
 * Gives out what is free to those who wait, in turn, and sets when the next slot comes. Who is first
 * but blocked keeps its quota, so that no stream of smaller calls can pass it for ever; others may pass
 * on the remaining ones.
 */
export function dispatch(modelQueue: ModelQueue, now: number, actions: DispatchActions): void {
  const reserved = new Set<ProjectModelQuota>();
  // Who only waits for the even pace keeps its quota from those who do so too, and from nobody else.
  const reservedInPace = new Set<ProjectModelQuota>();
  const longBacklog = modelQueue.longBacklog(now);
  modelQueue.wakeAt = Number.POSITIVE_INFINITY;
  for (const waiter of modelQueue.waiters.inServiceOrder()) {
    if (!actions.hasRoom()) return;
    const { request, tokens } = waiter;
    const paced = modelQueue.isPaced(request, longBacklog, now);
    const taken = paced ? reservedInPace : reserved;
    if (taken.size === modelQueue.quotas.length) continue;
    const project = actions.projectOf(request);
    const quota = modelQueue.choose(request, project, tokens, now, taken, paced);
    if (quota !== undefined) {
      modelQueue.waiters.take(waiter);
      actions.grant(waiter, quota);
      continue;
    }
    const earliest = modelQueue.couldStartAt(request, project, tokens, now);
    if (earliest > waiter.deadline || earliest === Number.POSITIVE_INFINITY) {
      modelQueue.waiters.remove(waiter);
      actions.refuse(waiter, earliest);
      continue;
    }
    const slot = modelQueue.earliest(request, project, tokens, now, taken, paced);
    if (slot === undefined) continue;
    reservedInPace.add(slot.quota);
    if (!paced || slot.quota.freeAt(tokens, now) > now) reserved.add(slot.quota);
    if (slot.at > now) modelQueue.wakeAt = Math.min(modelQueue.wakeAt, slot.at);
    if (reserved.size === modelQueue.quotas.length) return;
  }
}
