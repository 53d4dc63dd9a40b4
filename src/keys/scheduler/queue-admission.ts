import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import { exhausted, explainExhaustion } from './exhaustion.js';
import type { ModelLane } from './model-queue.js';

export interface QueueLimits {
  /** How long a call without a deadline of its own waits for a key. */
  readonly maxWaitMs: number;
  /** Calls that may wait for one model. */
  readonly maxQueueLength: number;
}

interface Call {
  readonly lane: ModelLane;
  readonly need: LeaseRequest;
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
export function admit(call: Call, limits: QueueLimits, now: number): Admission {
  const { lane, need, project, tokens } = call;
  const since = need.since ?? now;
  const deadline =
    need.deadline === undefined ? now + limits.maxWaitMs : lane.latestStart(need, need.deadline, since, now);
  const earliest = lane.couldStartAt(need, project, tokens, now);
  if (earliest > deadline || deadline <= now || earliest === Number.POSITIVE_INFINITY) {
    return { error: refusal(lane, need, project, earliest, now) };
  }
  const ahead = lane.queue.ahead(need, since);
  const startAt = Math.max(earliest, lane.forecast(need, project, tokens, ahead, now));
  if (startAt > deadline) {
    const message = `${ahead} calls wait for ${need.model} already, more than its quotas admit before the deadline. Retry later, or add keys of further projects.`;
    return { error: exhausted(message, startAt, now) };
  }
  if (lane.queue.size >= limits.maxQueueLength) {
    const victim = lane.queue.victimFor(need);
    const error = exhausted(`The queue for ${need.model} is full. Retry later.`, startAt, now);
    if (victim === undefined) return { error };
    lane.queue.remove(victim);
    victim.reject(error);
  }
  return { since, deadline };
}

/** The refusal of a call that could start at `at`, with what is in its way. */
export function refusal(
  lane: ModelLane,
  need: LeaseRequest,
  project: string | undefined,
  at: number,
  now: number,
): KeyPoolExhaustedError {
  return exhausted(explainExhaustion(lane, need, project, now), at, now);
}
