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
  /** What the policy was asked about before in this call, or since an answer in several calls last went on, oldest first. */
  readonly earlierFailures: readonly Failure[];
  /** Milliseconds since the call began. */
  readonly elapsedMs: number;
  /** Whether the caller has already seen something of this answer that would be discarded: text, a file, code, a source. */
  readonly hasEmittedText: boolean;
  /**
   * Whether the answer goes on from earlier calls, which only this model can do: another starts it again.
   * Default: no.
   */
  readonly isBound?: boolean | undefined;
}

/** Try again after `delayMs`, with `model` if given. */
export interface RetryDecision {
  readonly delayMs: number;
  readonly model?: string | undefined;
}

/**
 * Decides what to do about a failure.
 *
 * An implementer owes:
 * - a pure function of the context (chance may enter only through an injected random source): the chat
 *   waits, leases and calls.
 * - no retry of what the same model would meet again: a refusal, a request that is not valid or too large, an
 *   answer that used up its tokens before the first word (`incomplete`, reason `MAX_TOKENS`), a limit on the
 *   time to the first token or of the whole attempt (`timeout`, reason `FIRST_TOKEN` or `TOTAL`).
 *
 * `undefined` gives up, and the failure of the first model that was asked is thrown. A request that was refused for
 * what it holds of earlier answers is repeated as plain text before the policy is asked. A model whose call could not be
 * read (`incomplete`, reason `MALFORMED_FUNCTION_CALL`) is told so in the next attempt.
 *
 * Shipped: {@link BackoffRetryPolicy}. `examples/custom-parts` holds another.
 */
export interface RetryPolicy {
  next(context: RetryContext): RetryDecision | undefined;
}
