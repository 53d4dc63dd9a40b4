import { exponentialDelayMs } from '../core/backoff.js';
import { type Failure, isUnreachable, malformedCall } from '../core/failure.js';
import { parseOptions } from '../core/parse-options.js';
import {
  type BackoffRetryPolicyOptions,
  backoffRetryPolicyOptionsSchema,
} from './backoff-retry-policy-options.js';
import type { RetryContext, RetryDecision, RetryPolicy } from './retry-policy.js';

/** Answers that differ in length by no more than this part broke off at the same place. */
const samePlace = 0.1;
/** Limits of our own, which another attempt at the same model would meet again. */
const ownLimits: ReadonlySet<string> = new Set(['FIRST_TOKEN', 'TOTAL']);
const overloadedAttemptsBeforeFallback = 2;
/** After this a service that cannot be reached is reported, unless `patienceMs` says otherwise. */
const unreachablePatienceMs = 10_000;
/** For how long a key pool may hold back the retry of a service that cannot be reached. */
const poolPauseMs = 1_000;

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
  readonly #reachesForMs: number;
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
    this.#reachesForMs = parsed.patienceMs === undefined ? unreachablePatienceMs : Number.POSITIVE_INFINITY;
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
        return failure.reason === 'MAX_TOKENS' ? undefined : this.#afterBreak(context);
      case 'overloaded': {
        if (isBreak(failure)) return this.#afterBreak(context);
        const fallback = attempt >= overloadedAttemptsBeforeFallback ? this.#fallBack(context) : undefined;
        return fallback ?? this.#retry(context, this.#patienceMs);
      }
      case 'network':
        return isBreak(failure) ? this.#afterBreak(context) : this.#reach(context);
      case 'timeout':
        if (ownLimits.has(failure.reason ?? '')) return this.#fallBack(context);
        return isBreak(failure) ? this.#afterBreak(context) : this.#retry(context, 0);
      case 'internal':
        return isBreak(failure) ? this.#afterBreak(context) : this.#retry(context, 0);
    }
  }

  /**
   * A single further call, to another model if there is one. If that breaks off at the same place, so would every
   * other; at another place, it is a fault that passes.
   */
  #afterBreak(context: RetryContext): RetryDecision | undefined {
    const { attempt, earlierFailures, failure, isBound } = context;
    const earlier = earlierFailures.filter(isBreak);
    if (earlier.some((each) => isSameBreak(each, failure))) return undefined;
    if (earlier.length > 0) return this.#retry(context, 0);
    // A status in place of a reply is about something that this model can be asked again for, such as a file.
    const isAnswer = failure.brokeOffAt !== undefined || failure.status === undefined;
    // Of a call that could not be read, the same model is told.
    const isElsewhere = isAnswer && isBound !== true && failure.reason !== malformedCall;
    const fallback = isElsewhere || attempt >= this.#maxAttempts ? this.#fallBack(context) : undefined;
    return fallback ?? (attempt < this.#maxAttempts ? this.#backOff(context) : undefined);
  }

  #retry(context: RetryContext, patienceMs: number): RetryDecision | undefined {
    const { attempt, elapsedMs, failure } = context;
    const fallback = this.#fallBack(context);
    const isLongWait = (failure.retryAfterMs ?? 0) > this.#maxDelayMs;
    if (fallback !== undefined && (isLongWait || attempt >= this.#maxAttempts)) return fallback;
    return attempt < this.#maxAttempts || elapsedMs < patienceMs ? this.#backOff(context) : undefined;
  }

  #reach(context: RetryContext): RetryDecision | undefined {
    const decision = this.#retry(context, this.#patienceMs);
    if (decision === undefined || !isUnreachable(context.failure)) return decision;
    const retriedAtMs = context.elapsedMs + Math.max(decision.delayMs, poolPauseMs);
    return retriedAtMs < this.#reachesForMs ? decision : undefined;
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

/** Whether the reply ended before the answer did. An overload or a fault that is told at the start of a reply is no such end. */
function isBreak({ brokeOffAt, kind, reason }: Failure): boolean {
  if (kind === 'incomplete' || reason === 'BETWEEN_CHUNKS') return true;
  return kind === 'network' ? brokeOffAt !== undefined : (brokeOffAt ?? 0) > 0;
}

function isSameBreak(one: Failure, other: Failure): boolean {
  const [a, b] = [one.brokeOffAt, other.brokeOffAt];
  if (one.kind !== other.kind || a === undefined || b === undefined)
    return one.kind === other.kind && a === b;
  return Math.abs(a - b) <= samePlace * Math.max(a, b);
}
