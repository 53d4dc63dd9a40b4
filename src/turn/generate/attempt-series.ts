import { IncompleteReplyError, KeyPoolExhaustedError, ModelCallError } from '../../core/errors.js';
import { estimateTextTokens } from '../../core/estimate-tokens.js';
import { type Attempt, type Failure, isRoutedByPool, malformedCall } from '../../core/failure.js';
import type { JsonValue } from '../../core/message.js';
import type { RetryDecision } from '../../retry/retry-policy.js';
import type { ModelRoute } from '../model-routes.js';
import type { ChatStreamEvent } from '../reply.js';
import { type AskedRequest, fitRequest, withAdvice, withPlainHistory } from './fit-request.js';
import type { GenerationDeps, GenerationRequest } from './generation.js';
import { firstToSpeak } from './hedge.js';
import { Leasing } from './leasing.js';
import { type AttemptLease, type Finish, ModelAttempt } from './model-attempt.js';
import { ModelChain } from './model-chain.js';

/** Guards against a policy that never gives up. */
const maxAttempts = 100;
/** Guards against an answer that never ends. */
const maxContinuations = 31;

/** The attempts at one answer: leases for them, counts them, and asks the policy what follows a failure. */
export class AttemptSeries {
  readonly #deps: GenerationDeps;
  readonly #request: GenerationRequest;
  readonly #leasing: Leasing;
  readonly #made: ModelAttempt[] = [];
  readonly #chain: ModelChain;
  readonly #hasUploads: boolean;
  #modelRequest: AskedRequest;
  #estimatedTokens: number;
  /** Attempts of the latest round: one, or two with a hedge. */
  #round: readonly ModelAttempt[] = [];
  #hasPlainHistory = false;
  /** Of a refused attempt, for the one with plain text. */
  #lease: AttemptLease | undefined;
  #continuation: JsonValue | undefined;
  #continued = 0;

  constructor(deps: GenerationDeps, request: GenerationRequest) {
    this.#deps = deps;
    this.#request = request;
    this.#leasing = new Leasing({ ...deps, ...request });
    this.#modelRequest = request.request;
    this.#estimatedTokens = request.estimatedTokens;
    this.#chain = new ModelChain({ ...deps, ...request });
    this.#hasUploads = request.request.messages.some(({ parts }) =>
      parts.some(({ type }) => type === 'upload'),
    );
  }

  get attempts(): readonly Attempt[] {
    return this.#made.map(({ attempt }) => attempt);
  }

  /** Waiting for keys, all attempts together. */
  get queueMs(): number {
    return this.#leasing.queueMs;
  }

  /** The model of the next attempt. */
  get model(): string {
    return this.#chain.model;
  }

  /** Whether the next attempt goes on with the answer. */
  get isContinuing(): boolean {
    return this.#continuation !== undefined;
  }

  get lastFault(): Failure | undefined {
    return this.#chain.lastFault;
  }

  /**
   * What to throw when there is no answer: it tells why the model that was asked for gave none.
   *
   * @param partial What was shown of the answer, if anything was.
   */
  errorAfter(last: Failure, partial: string | undefined): Error {
    const fault = this.#chain.faultBefore(last);
    if (partial !== undefined) return new IncompleteReplyError(partial, fault, this.attempts);
    if (KeyPoolExhaustedError.isInstance(fault.cause)) return fault.cause;
    return new ModelCallError(fault, this.attempts);
  }

  /**
   * Leases a key and starts the next attempt, on a fallback model where there is no key for this one.
   *
   * @param partial As for `errorAfter`.
   */
  async start(partial: string | undefined): Promise<ModelAttempt> {
    for (;;) {
      const route = this.#deps.models.get(this.model);
      const lease = this.#lease ?? (await this.#leaseFor(route, partial));
      this.#lease = undefined;
      if (lease === undefined) continue;
      const attempt = this.#open(route, lease, false);
      this.#round = [attempt];
      return attempt;
    }
  }

  announce(attempt: ModelAttempt): Extract<ChatStreamEvent, { type: 'attempt' }> {
    const { isHedge, lease, model } = attempt;
    const keyId = lease.key?.id;
    return {
      type: 'attempt',
      attempt: this.#made.indexOf(attempt) + 1,
      model,
      ...(keyId !== undefined && { keyId }),
      ...(isHedge && { isHedge }),
    };
  }

  /**
   * Starts a second attempt on another project if `first` is late: resolves with both, the one that began
   * to answer as `first`. Undefined if there was no second.
   */
  async hedge(
    first: ModelAttempt,
  ): Promise<{ readonly first: ModelAttempt; readonly second: ModelAttempt } | undefined> {
    const { clock, hedge, keyPool } = this.#deps;
    // With uploads, another project would have to be given the files first, which takes longer than any late answer.
    const isPossible = keyPool !== undefined && first.lease.key !== undefined && !this.#hasUploads;
    if (hedge === undefined || !isPossible || this.#made.some(({ isHedge }) => isHedge)) return undefined;
    const route = this.#deps.models.get(first.model);
    let second: ModelAttempt | undefined;
    const winner = await firstToSpeak(first, {
      clock,
      afterMs: hedge.afterMs,
      acquire: (need) =>
        this.#leasing.acquire(keyPool, {
          model: first.model,
          estimatedTokens: this.#estimatedTokens,
          ...need,
        }),
      start: (lease) => {
        second = this.#open(route, lease, true);
        this.#round = [first, second];
        return second;
      },
    });
    return second && { first: winner, second };
  }

  /** Whether the answer goes on in another call, for which the next attempt is. */
  goesOn({ continuation }: Finish, { text }: ModelAttempt): boolean {
    if (continuation === undefined || this.#continued >= maxContinuations) return false;
    this.#continuation = continuation;
    this.#continued += 1;
    this.#chain.countAnew();
    this.#estimatedTokens += estimateTextTokens(text);
    return true;
  }

  /** The answer is complete. */
  complete(): void {
    if (this.#hasPlainHistory) this.#request.onPlainHistory?.();
  }

  /**
   * Whether to ask once more at once, since the model may have refused what it said earlier: with plain text in its
   * place, on the same lease if that is still open.
   */
  takesPlainHistory(failed: ModelAttempt): boolean {
    const { failure } = failed;
    if (failure === undefined || !this.#mayBePlain(failed, failure)) return false;
    this.#modelRequest = withPlainHistory(this.#modelRequest) ?? this.#modelRequest;
    this.#hasPlainHistory = true;
    this.#lease = failed.takeLease();
    return true;
  }

  /** What the policy says about a failed attempt; undefined gives up. */
  decide(failed: ModelAttempt, failure: Failure): RetryDecision | undefined {
    this.#chain.count(this.#round.filter((each) => each.failure && !isRouted(each)).length);
    return this.#decide(failure, isRouted(failed), failed.hasAnswered);
  }

  /** Ends what still runs. */
  endAll(): void {
    for (const attempt of this.#round) {
      attempt.end();
      attempt.settle();
    }
  }

  #mayBePlain(attempt: ModelAttempt, { kind, scope, status = 400 }: Failure): boolean {
    const isRefusal = kind === 'invalid-request' && scope === 'call' && (status === 400 || status === 422);
    if (!isRefusal || attempt.hasAnswered || this.#hasPlainHistory) return false;
    const route = this.#deps.models.get(attempt.model);
    return withPlainHistory(fitRequest(this.#modelRequest, route)) !== undefined;
  }

  #decide(failure: Failure, isRouted: boolean, hasEmittedText: boolean): RetryDecision | undefined {
    if (this.#made.length >= maxAttempts) return undefined;
    const { model } = this.#chain;
    const failed = { failure, isRoutedByPool: isRouted, hasEmittedText };
    const decision = this.#chain.decide(failed, this.isContinuing);
    if (this.#chain.model !== model) this.#continuation = undefined;
    return decision;
  }

  #open(route: ModelRoute, lease: AttemptLease, isHedge: boolean): ModelAttempt {
    const { signal, spans } = this.#request;
    const fitted = fitRequest(this.#modelRequest, route);
    const request = this.lastFault?.reason === malformedCall ? withAdvice(fitted) : fitted;
    const attempt: ModelAttempt = new ModelAttempt({
      route,
      lease,
      request: this.isContinuing ? { ...request, continuation: this.#continuation } : request,
      signal,
      clock: this.#deps.clock,
      isHedge,
      span: spans.start({
        kind: 'attempt',
        attempt: this.#made.length + 1,
        provider: route.model.provider,
        model: route.name,
        keyId: lease.key?.id,
        isHedge: isHedge || undefined,
      }),
      // Beside another attempt it is not clear which of the leases to use.
      keepsLease: (failure) =>
        this.#round.length < 2 && !signal.aborted && this.#mayBePlain(attempt, failure),
    });
    this.#made.push(attempt);
    return attempt;
  }

  /** Undefined if there is no key and the series goes on with another model. */
  async #leaseFor(route: ModelRoute, partial: string | undefined): Promise<AttemptLease | undefined> {
    try {
      return await this.#leasing.lease(route, this.#estimatedTokens);
    } catch (error) {
      if (!KeyPoolExhaustedError.isInstance(error)) throw error;
      const failure = exhaustion(error);
      const tried = [...this.#chain.tried];
      const decision = this.#decide(failure, false, false);
      if (decision?.model !== undefined && !tried.includes(decision.model)) return undefined;
      throw this.errorAfter(failure, partial);
    }
  }
}

/** Whether the pool avoids the failure by itself. Without a key there is no pool to do so. */
function isRouted({ failure, lease }: Pick<ModelAttempt, 'failure' | 'lease'>): boolean {
  return failure !== undefined && lease.key !== undefined && isRoutedByPool(failure);
}

/** No key for this model, put as a failure of the model, so that a fallback can be asked for. */
function exhaustion(error: KeyPoolExhaustedError): Failure {
  return {
    kind: 'rate-limit',
    scope: 'model',
    message: error.message,
    retryAfterMs: error.retryAfterMs,
    cause: error,
  };
}
