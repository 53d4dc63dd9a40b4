import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import { exhausted, explainExhaustion } from './exhaustion.js';
import type { ModelQueue } from './model-queue.js';

export interface QueueLimits {
  /** A call that is expected to wait longer for a key is refused at once, in milliseconds. */
  readonly maxWaitMs: number;
  /** Calls that may wait for one model. */
  readonly maxQueueLength: number;
}

export interface QueuedRequest {
  readonly modelQueue: ModelQueue;
  readonly request: LeaseRequest;
  /** The current name of the project that the call is bound to. */
  readonly project: string | undefined;
  readonly tokens: number;
}

/** A place in the queue, or why there is none. */
export type Admission =
  | { readonly since: number; readonly deadline: number }
  | { readonly error: KeyPoolExhaustedError };

/**
 * Whether the queue has room for a call, and serves it before its deadline. The next dispatch refuses the
 * call if no quota comes back soon.
 */
export function admit(call: QueuedRequest, since: number, limits: QueueLimits, now: number): Admission {
  const { modelQueue, request, project, tokens } = call;
  const deadline =
    request.deadline === undefined
      ? now + limits.maxWaitMs
      : modelQueue.latestStart(request, request.deadline, since, now);
  if (deadline <= now || modelQueue.eligible(request, project).length === 0)
    return { error: refusal(call, deadline, limits, now) };
  if (modelQueue.waiters.size === 0) return { since, deadline };
  const ahead = modelQueue.ahead(request, since);
  const startAt = modelQueue.forecast(request, project, tokens, ahead, now);
  const expected = { ahead, startAt, deadline: latestTurn(request, deadline, now) };
  const error = makeRoom(modelQueue, request, expected, limits.maxQueueLength, now);
  return error === undefined ? { since, deadline } : { error };
}

/** Until when the turn of a call has to come. */
function latestTurn({ maxWaitMs }: LeaseRequest, deadline: number, now: number): number {
  return Math.min(deadline, now + (maxWaitMs ?? Number.POSITIVE_INFINITY));
}

/**
 * Why a call that is expected to start at `startAt` may not wait; `undefined` if it may. In a full queue
 * a waiter of lesser claim is rejected in its place.
 */
function makeRoom(
  { model, waiters }: ModelQueue,
  request: LeaseRequest,
  expected: { readonly ahead: number; readonly startAt: number; readonly deadline: number },
  maxQueueLength: number,
  now: number,
): KeyPoolExhaustedError | undefined {
  const { ahead, startAt, deadline } = expected;
  if (startAt > deadline) {
    const limit = request.maxWaitMs === undefined ? 'the deadline' : 'the end of its patience';
    const message = `${ahead} calls wait for ${model} already, more than its quotas admit before ${limit}. Retry later, or add keys of further projects.`;
    return exhausted(message, startAt, now);
  }
  if (waiters.size < maxQueueLength) return undefined;
  const error = exhausted(`The queue for ${model} is full. Retry later.`, startAt, now);
  const victim = waiters.victimFor(request);
  if (victim === undefined) return error;
  waiters.remove(victim);
  victim.reject(error);
  return undefined;
}

/** The refusal of a call that cannot start soon: the reasons, and when to try again. */
export function refusal(
  { modelQueue, request, project, tokens }: QueuedRequest,
  deadline: number,
  { maxWaitMs }: Pick<QueueLimits, 'maxWaitMs'>,
  now: number,
  notBefore = 0,
): KeyPoolExhaustedError {
  const slot = modelQueue.earliest(request, project, tokens, now);
  const at = Math.max(notBefore, slot?.at ?? Number.POSITIVE_INFINITY);
  return exhausted(explainExhaustion(modelQueue, request, project, now), at, now, {
    maxWaitMs,
    deadline,
    wallAheadMs: modelQueue.wallAheadMs(),
  });
}
