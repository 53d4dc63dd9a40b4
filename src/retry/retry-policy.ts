import type { Failure } from '../core/failure.js';

/** What is known when an attempt has failed. */
export interface RetryContext {
  readonly failure: Failure;
  /** Whether the key pool avoids the failure by itself: the next attempt waits for another key, or for quota. */
  readonly isRoutedByPool: boolean;
  /** The model that the failed attempt used. */
  readonly model: string;
  /** Models that were used so far in this call, the failed one included. */
  readonly triedModels: readonly string[];
  /**
   * Failed attempts at this model so far that count, this one included. Attempts that the pool
   * itself routes around (a bad key, a spent quota) do not count.
   */
  readonly attempt: number;
  /** Since the call began. */
  readonly elapsedMs: number;
  /** Whether the caller has already seen text of this answer. */
  readonly hasEmittedText: boolean;
}

/** Try again after `delayMs`, with `model` instead when given. */
export interface RetryDecision {
  readonly delayMs: number;
  readonly model?: string | undefined;
}

/**
 * Decides what to do about a failure.
 *
 * An implementer owes a pure function of the context (chance may enter only through an injected
 * random source): the caller waits, leases and calls. `undefined` gives up, and the failure is
 * thrown.
 *
 * Shipped: `BackoffRetryPolicy`.
 */
export interface RetryPolicy {
  next(context: RetryContext): RetryDecision | undefined;
}
