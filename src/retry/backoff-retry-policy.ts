import { exponentialDelayMs } from '../core/backoff.js';
import type { RetryContext, RetryDecision, RetryPolicy } from './retry-policy.js';

export interface BackoffRetryPolicyOptions {
  /** Attempts on one model that count (a bad key or a spent quota does not). Default 5. */
  readonly maxAttempts?: number | undefined;
  /**
   * An overloaded service and a broken network are ridden out for at least so long, whatever the
   * attempts. Default 30,000, or 0 when `maxAttempts` is given.
   */
  readonly patienceMs?: number | undefined;
  /** Longest wait before the first retry; it doubles with each attempt. Default 500. */
  readonly baseDelayMs?: number | undefined;
  /** Longest wait before any retry. Default 20,000. */
  readonly maxDelayMs?: number | undefined;
  /** Models to go on with, in this order, when a model cannot answer. Default none. */
  readonly fallbackModels?: readonly string[] | undefined;
  /** What to do when the answer breaks off after part of it was shown. Default `restart`. */
  readonly onPartialOutput?: 'restart' | 'fail' | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** An answer that broke off is asked for once more: a second break is no accident. */
const mostIncompleteAttempts = 2;
/** A model that is overloaded twice is left for a fallback, where there is one. */
const overloadedAttemptsBeforeFallback = 2;

/**
 * Rides out what passes: exponential back-off with full jitter for faults of the service and the
 * network, at once where the key pool routes around the fault, another model when this one cannot
 * answer, and never what another attempt would meet again.
 *
 * Full jitter after https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 */
export class BackoffRetryPolicy implements RetryPolicy {
  readonly #maxAttempts: number;
  readonly #patienceMs: number;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #fallbackModels: readonly string[];
  readonly #onPartialOutput: 'restart' | 'fail';
  readonly #random: () => number;

  constructor(options: BackoffRetryPolicyOptions = {}) {
    this.#maxAttempts = options.maxAttempts ?? 5;
    this.#patienceMs = options.patienceMs ?? (options.maxAttempts === undefined ? 30_000 : 0);
    this.#baseDelayMs = options.baseDelayMs ?? 500;
    this.#maxDelayMs = options.maxDelayMs ?? 20_000;
    this.#fallbackModels = options.fallbackModels ?? [];
    this.#onPartialOutput = options.onPartialOutput ?? 'restart';
    this.#random = options.random ?? Math.random;
  }

  next(context: RetryContext): RetryDecision | undefined {
    const { failure, attempt, hasEmittedText: visible } = context;
    if (visible && this.#onPartialOutput === 'fail') return undefined;
    switch (failure.kind) {
      case 'blocked':
      case 'invalid-request':
      case 'too-large':
        return undefined;
      case 'auth':
      case 'permission':
      case 'rate-limit':
      case 'daily-quota':
      case 'no-quota':
      case 'billing':
        if (failure.scope === 'call') return undefined;
        // The pool waits for the next key by itself and knows best when that is.
        if (context.isRoutedByPool) return { delayMs: 0 };
        return failure.kind === 'rate-limit' && failure.scope !== 'model'
          ? this.#tryAgain(context, 0)
          : this.#fallBack(context);
      case 'model-unavailable':
        return this.#fallBack(context);
      case 'incomplete':
        return attempt < Math.min(mostIncompleteAttempts, this.#maxAttempts)
          ? this.#backOff(context)
          : this.#fallBack(context);
      case 'overloaded': {
        const fallback = attempt >= overloadedAttemptsBeforeFallback ? this.#fallBack(context) : undefined;
        return fallback ?? this.#tryAgain(context, this.#patienceMs);
      }
      case 'network':
        return this.#tryAgain(context, this.#patienceMs);
      case 'internal':
      case 'timeout':
        return this.#tryAgain(context, 0);
    }
  }

  #tryAgain(context: RetryContext, patienceMs: number): RetryDecision | undefined {
    if (context.attempt < this.#maxAttempts) return this.#backOff(context);
    const fallback = this.#fallBack(context);
    if (fallback !== undefined) return fallback;
    return context.elapsedMs < patienceMs ? this.#backOff(context) : undefined;
  }

  #backOff({ attempt, failure }: RetryContext): RetryDecision {
    const longestMs = exponentialDelayMs(attempt, { initialMs: this.#baseDelayMs, maxMs: this.#maxDelayMs });
    const advisedMs = failure.retryAfterMs ?? 0;
    return { delayMs: Math.max(advisedMs, Math.floor(this.#random() * longestMs)) };
  }

  #fallBack({ triedModels }: RetryContext): RetryDecision | undefined {
    const model = this.#fallbackModels.find((candidate) => !triedModels.includes(candidate));
    return model === undefined ? undefined : { delayMs: 0, model };
  }
}
