import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import { exhausted, explainExhaustion } from './exhaustion.js';
import type { ModelQueue } from './model-queue.js';

export interface QueueLimits {
  /** How long a call without a deadline of its own waits for a key. */
  readonly maxWaitMs: number;
  /** Calls that may wait for one model. */
  readonly maxQueueLength: number;
}

interface QueuedRequest {
  readonly modelQueue: ModelQueue;
  readonly request: LeaseRequest;
  /** What the project that the call is bound to is called now. */
  readonly project: string | undefined;
  readonly tokens: number;
}

/** A place in the queue, or why there is none. */
export type Admission =
  | { readonly since: number; readonly deadline: number }
  | { readonly error: KeyPoolExhaustedError };

/**
 * Whether a call may wait: not when it is clear already that it would wait in vain. In a full queue a
 * call with a lesser claim gives way to it.
 */
export function admit(call: QueuedRequest, limits: QueueLimits, now: number): Admission {
  const { modelQueue, request, project, tokens } = call;
  const since = request.since ?? now;
  const deadline =
    request.deadline === undefined
      ? now + limits.maxWaitMs
      : modelQueue.latestStart(request, request.deadline, since, now);
  const earliest = modelQueue.couldStartAt(request, project, tokens, now);
  if (earliest > deadline || deadline <= now || earliest === Number.POSITIVE_INFINITY) {
    return { error: refusal(modelQueue, request, project, earliest, now) };
  }
  const ahead = modelQueue.waiters.ahead(request, since);
  const startAt = Math.max(earliest, modelQueue.forecast(request, project, tokens, ahead, now));
  if (startAt > deadline) {
    const message = `${ahead} calls wait for ${request.model} already, more than its quotas admit before the deadline. Retry later, or add keys of further projects.`;
    return { error: exhausted(message, startAt, now) };
  }
  if (modelQueue.waiters.size >= limits.maxQueueLength) {
    const victim = modelQueue.waiters.victimFor(request);
    const error = exhausted(`The queue for ${request.model} is full. Retry later.`, startAt, now);
    if (victim === undefined) return { error };
    modelQueue.waiters.remove(victim);
    victim.reject(error);
  }
  return { since, deadline };
}

/** The refusal of a call that could start at `at`, with what is in its way. */
export function refusal(
  modelQueue: ModelQueue,
  request: LeaseRequest,
  project: string | undefined,
  at: number,
  now: number,
): KeyPoolExhaustedError {
  return exhausted(explainExhaustion(modelQueue, request, project, now), at, now);
}
