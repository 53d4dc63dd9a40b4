import { exponentialDelayMs } from '../core/backoff.js';
import { parseOptions } from '../core/parse-options.js';
import {
  type BackoffRetryPolicyOptions,
  backoffRetryPolicyOptionsSchema,
} from './backoff-retry-policy-options.js';
import type { RetryContext, RetryDecision, RetryPolicy } from './retry-policy.js';

/** An answer that broke off or fell silent twice is likely to do so again. */
const maxRepeatedAttempts = 2;
/** Limits of our own, which another attempt at the same model would meet again. */
const ownLimits: ReadonlySet<string> = new Set(['FIRST_TOKEN', 'TOTAL']);
const overloadedAttemptsBeforeFallback = 2;

/**
 * Exponential back-off with full jitter for faults of the service and the network, an immediate retry
 * where the key pool routes around the fault, and another model if this one cannot answer. Gives up on
 * what another attempt would meet again.
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

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: BackoffRetryPolicyOptions = {}) {
    const parsed = parseOptions(backoffRetryPolicyOptionsSchema, options, 'BackoffRetryPolicy');
    this.#maxAttempts = parsed.maxAttempts ?? 5;
    this.#patienceMs = parsed.patienceMs ?? (parsed.maxAttempts === undefined ? 30_000 : 0);
    this.#baseDelayMs = parsed.baseDelayMs;
    this.#maxDelayMs = parsed.maxDelayMs;
    this.#fallbackModels = parsed.fallbackModels;
    this.#onPartialOutput = parsed.onPartialOutput;
    this.#random = parsed.random;
  }

  next(context: RetryContext): RetryDecision | undefined {
    const { attempt, failure, hasEmittedText } = context;
    if (hasEmittedText && this.#onPartialOutput === 'fail') return undefined;
    switch (failure.kind) {
      case 'blocked':
        return undefined;
      case 'invalid-request':
      case 'too-large':
        // What a fallback does not take, the next one may.
        return context.triedModels.length > 1 ? this.#fallBack(context) : undefined;
      case 'auth':
      case 'permission':
      case 'rate-limit':
      case 'daily-quota':
      case 'no-quota':
      case 'billing':
        if (failure.scope === 'call') return undefined;
        // The next lease waits until a key can serve.
        if (context.isRoutedByPool) return { delayMs: 0 };
        return failure.kind === 'rate-limit' && failure.scope !== 'model'
          ? this.#retry(context, 0)
          : this.#fallBack(context);
      case 'model-unavailable':
        return this.#fallBack(context);
      case 'incomplete':
        if (failure.reason === 'MAX_TOKENS') return undefined;
        return failure.reason === 'EMPTY_ANSWER' ? this.#onceElsewhere(context) : this.#onceMore(context);
      case 'overloaded': {
        const fallback = attempt >= overloadedAttemptsBeforeFallback ? this.#fallBack(context) : undefined;
        return fallback ?? this.#retry(context, this.#patienceMs);
      }
      case 'network':
        return this.#retry(context, this.#patienceMs);
      case 'timeout':
        if (ownLimits.has(failure.reason ?? '')) return this.#fallBack(context);
        return failure.reason === 'BETWEEN_CHUNKS' ? this.#onceMore(context) : this.#retry(context, 0);
      case 'internal':
        return this.#retry(context, 0);
    }
  }

  #onceMore(context: RetryContext): RetryDecision | undefined {
    const isFirst = context.attempt < Math.min(maxRepeatedAttempts, this.#maxAttempts);
    return isFirst ? this.#backOff(context) : this.#fallBack(context);
  }

  /** A single further call for this reason, to another model if there is one, which is likelier to answer. */
  #onceElsewhere(context: RetryContext): RetryDecision | undefined {
    const { earlierFailures, failure } = context;
    if (earlierFailures.some(({ reason }) => reason === failure.reason)) return undefined;
    return this.#fallBack(context) ?? (this.#maxAttempts > 1 ? this.#backOff(context) : undefined);
  }

  #retry(context: RetryContext, patienceMs: number): RetryDecision | undefined {
    const { attempt, elapsedMs, failure } = context;
    const fallback = this.#fallBack(context);
    const isLongWait = (failure.retryAfterMs ?? 0) > this.#maxDelayMs;
    if (fallback !== undefined && (isLongWait || attempt >= this.#maxAttempts)) return fallback;
    return attempt < this.#maxAttempts || elapsedMs < patienceMs ? this.#backOff(context) : undefined;
  }

  #backOff({ attempt, failure }: RetryContext): RetryDecision {
    const upperMs = exponentialDelayMs(attempt, { initialMs: this.#baseDelayMs, maxMs: this.#maxDelayMs });
    const delayMs = Math.floor(this.#random() * upperMs);
    return { delayMs: Math.max(delayMs, failure.retryAfterMs ?? 0) };
  }

  #fallBack({ triedModels }: RetryContext): RetryDecision | undefined {
    const model = this.#fallbackModels.find((candidate) => !triedModels.includes(candidate));
    return model === undefined ? undefined : { delayMs: 0, model };
  }
}
