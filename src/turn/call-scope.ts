import { onAbort } from '../core/abort.js';
import { type Clock, wallTime } from '../core/clock.js';
import { TimeoutError } from '../core/errors.js';
import type { Conversation } from '../core/turn.js';
import type { Spans } from './spans.js';
import type { TurnRequest } from './turn-request.js';

/** The life of one call: its deadline and everything that can cut it short. */
export interface CallScope {
  /** By the clock that does not jump, as is `deadline`. */
  readonly startedAt: number;
  /** The date at which it began, in milliseconds since the epoch. */
  readonly askedAt: number;
  readonly deadline: number;
  /** Aborts with the caller's reason, a `TimeoutError`, or what `abort` was given. */
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** Does `task` when the scope ends, or at once when it has ended. */
  onEnd(task: () => void): void;
  /** Ends the scope and removes every listener; unless the call is complete, what still runs is aborted. */
  end(outcome: { readonly isComplete: boolean }): void;
}

/** One call: its scope, what was asked, and where its spans go. */
export interface Call extends CallScope {
  readonly request: TurnRequest;
  readonly conversation: Conversation;
  readonly turnId: string;
  readonly spans: Spans;
}

const ended = new DOMException('The call has ended.', 'AbortError');

/**
 * Opens the scope of a call. The caller's signal is linked by hand, since `AbortSignal.any` on a
 * long-lived signal leaks.
 */
export function openCall(clock: Clock, timeoutMs: number, callerSignal: AbortSignal | undefined): CallScope {
  const controller = new AbortController();
  const startedAt = clock.now();
  const timer = clock.setTimeout(() => {
    const seconds = Math.round(timeoutMs / 100) / 10;
    controller.abort(
      new TimeoutError(
        `The call took longer than ${seconds} s. Raise \`timeoutMs\` or \`timeouts.callMs\`, or attach less.`,
        timeoutMs,
      ),
    );
  }, timeoutMs);
  const tasks: (() => void)[] = [];
  let hasEnded = false;
  const unlink = onAbort(callerSignal, (reason) => controller.abort(reason));
  return {
    startedAt,
    askedAt: wallTime(clock),
    deadline: startedAt + timeoutMs,
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    onEnd: (task) => {
      if (hasEnded) task();
      else tasks.push(task);
    },
    end: ({ isComplete }) => {
      clock.clearTimeout(timer);
      unlink();
      if (!isComplete) controller.abort(ended);
      hasEnded = true;
      for (const task of tasks.splice(0)) task();
    },
  };
}
