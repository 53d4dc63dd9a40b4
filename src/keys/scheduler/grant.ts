import type { PooledKey } from '../health/pooled-key.js';
import type { LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { Booking } from '../quota/quota-state.js';
import type { ModelQueue } from './model-queue.js';

/** The call that a lease was granted to. */
export interface Grant {
  readonly modelQueue: ModelQueue;
  readonly quota: ProjectModelQuota;
  readonly key: PooledKey;
  readonly booking: Booking;
  readonly request: LeaseRequest;
  readonly at: number;
}

/** Charges a call to a quota and one of its keys; `undefined` if the project has no usable key. */
export function openGrant(
  modelQueue: ModelQueue,
  quota: ProjectModelQuota,
  { request, tokens }: { readonly request: LeaseRequest; readonly tokens: number },
  paced: boolean,
  now: number,
): Grant | undefined {
  const key = quota.project.pick(now);
  if (key === undefined) return undefined;
  const booking = quota.book(tokens, now, paced);
  for (const gate of [key.gate, quota.project.gate, modelQueue.breaker.gate]) gate.enter(now);
  countRunning(quota, key, 1);
  return { modelQueue, quota, key, booking, request, at: now };
}

/** A call of this process started (1) or ended (-1). */
export function countRunning(quota: ProjectModelQuota, key: PooledKey, change: 1 | -1): void {
  quota.ownInFlight += change;
  key.inFlight += change;
}
