import type { Failure } from '../core/failure.js';

/** What is known when an attempt has failed. */
export interface RetryContext {
  readonly failure: Failure;
  /**
   * Whether the key pool avoids the failure by itself: the next attempt gets another key, or waits for
   * quota. False for a model that was called without a key.
   */
  readonly isRoutedByPool: boolean;
  /** The model that the failed attempt used. */
  readonly model: string;
  /** Models used so far in this call, the failed one included. */
  readonly triedModels: readonly string[];
  /**
   * Failed attempts at this model so far, this one included. Failures that the pool routes around (a bad
   * key, a spent quota) do not count.
   */
  readonly attempt: number;
  /** Milliseconds since the call began. */
  readonly elapsedMs: number;
  /** Whether the caller has already seen text of this answer. */
  readonly hasEmittedText: boolean;
}

/** Try again after `delayMs`, with `model` if given. */
export interface RetryDecision {
  readonly delayMs: number;
  readonly model?: string | undefined;
}

/**
 * Decides what to do about a failure.
 *
 * An implementer owes a pure function of the context (chance may enter only through an injected random
 * source): the chat waits, leases and calls. `undefined` gives up, and the failure is thrown.
 *
 * Shipped: {@link BackoffRetryPolicy}. `examples/custom-parts` holds another.
 */
export interface RetryPolicy {
  next(context: RetryContext): RetryDecision | undefined;
}
