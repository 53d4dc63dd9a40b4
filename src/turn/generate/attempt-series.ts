import type { Clock } from '../../core/clock.js';
import { ConfigurationError, KeyPoolExhaustedError } from '../../core/errors.js';
import { type Attempt, type Failure, isRoutedByPool } from '../../core/failure.js';
import type { KeyLease, KeyPool, LeaseRequest } from '../../keys/key-pool.js';
import type { ModelRequest } from '../../model/chat-model.js';
import type { RetryDecision, RetryPolicy } from '../../retry/retry-policy.js';
import type { ModelRoute, ModelRoutes } from '../model-routes.js';
import type { ChatStreamEvent } from '../reply.js';
import type { Spans } from '../spans.js';
import { fitRequest } from './fit-request.js';
import { firstToSpeak } from './hedge.js';
import { type AttemptLease, ModelAttempt } from './model-attempt.js';

/** Guards against a policy that never gives up. */
const maxAttempts = 100;

/** How long a call waits for a project that holds its files already, before they are uploaded to another. */
const maxAffinityWaitMs = 5_000;

export interface GenerationDeps {
  readonly keyPool: KeyPool | undefined;
  readonly models: ModelRoutes;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  /** Starts a second attempt on another project after this silence of the first; at most one per question. */
  readonly hedge?: { readonly afterMs: number } | undefined;
}

export interface GenerationRequest {
  readonly request: ModelRequest;
  readonly estimatedTokens: number;
  readonly tenant: string;
  readonly priority: 'interactive' | 'batch';
  readonly startedAt: number;
  /** When the whole call is over, in milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly spans: Spans;
  readonly onRetry: (event: { failed: Attempt; failure: Failure; delayMs: number; model: string }) => void;
}

/** An interactive call whose turn comes later than this is refused at once, or goes to a fallback model. */
const maxTurnWaitMs = 90_000;

/** For a model that needs no key. */
const noLease: AttemptLease = { settle: () => undefined };

/** The attempts at one answer: leases for them, counts them, and asks the policy what follows a failure. */
export class AttemptSeries {
  readonly #deps: GenerationDeps;
  readonly #request: GenerationRequest;
  readonly #made: ModelAttempt[] = [];
  readonly #triedModels: string[];
  readonly #hasUploads: boolean;
  /** Attempts of the latest round: one, or two with a hedge. */
  #round: readonly ModelAttempt[] = [];
  #model: string;
  /** Failed attempts at the current model that the pool does not route around. */
  #counted = 0;
  #queueMs = 0;

  constructor(deps: GenerationDeps, request: GenerationRequest) {
    this.#deps = deps;
    this.#request = request;
    this.#model = request.request.model;
    this.#triedModels = [this.#model];
    this.#hasUploads = request.request.messages.some(({ parts }) =>
      parts.some(({ type }) => type === 'upload'),
    );
  }

  get attempts(): readonly Attempt[] {
    return this.#made.map(({ attempt }) => attempt);
  }

  /** Waiting for keys, all attempts together. */
  get queueMs(): number {
    return this.#queueMs;
  }

  /** The model of the next attempt. */
  get model(): string {
    return this.#model;
  }

  /** Leases a key and starts the next attempt, on a fallback model where there is no key for this one. */
  async start(): Promise<ModelAttempt> {
    for (;;) {
      const route = this.#deps.models.get(this.#model);
      const lease = await this.#lease(route);
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
      acquire: (need) => this.#acquire(keyPool, need),
      start: (lease) => {
        second = this.#open(route, lease, true);
        this.#round = [first, second];
        return second;
      },
    });
    return second && { first: winner, second };
  }

  /** What the policy says about a failed attempt; undefined gives up. */
  decide(failed: ModelAttempt, failure: Failure, hasEmittedText: boolean): RetryDecision | undefined {
    this.#counted += this.#round.filter((each) => each.failure && !isRouted(each)).length;
    return this.#decide(failure, isRouted(failed), hasEmittedText);
  }

  /** Ends what still runs. */
  endAll(): void {
    for (const attempt of this.#round) attempt.end();
  }

  #decide(failure: Failure, isRouted: boolean, hasEmittedText: boolean): RetryDecision | undefined {
    if (this.#made.length >= maxAttempts) return undefined;
    const { clock, retry } = this.#deps;
    const { deadline, startedAt } = this.#request;
    const decision = retry.next({
      failure,
      isRoutedByPool: isRouted,
      model: this.#model,
      triedModels: this.#triedModels,
      attempt: this.#counted,
      elapsedMs: clock.now() - startedAt,
      hasEmittedText,
    });
    if (decision === undefined || clock.now() + decision.delayMs >= deadline) return undefined;
    this.#switchTo(decision.model);
    return decision;
  }

  #switchTo(model: string | undefined): void {
    if (model === undefined || model === this.#model) return;
    this.#model = model;
    this.#counted = 0;
    this.#triedModels.push(model);
  }

  #open(route: ModelRoute, lease: AttemptLease, isHedge: boolean): ModelAttempt {
    const { request, signal, spans } = this.#request;
    const attempt = new ModelAttempt({
      route,
      lease,
      request: fitRequest(request, route),
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
    });
    this.#made.push(attempt);
    return attempt;
  }

  /** Undefined if there is no key and the series goes on with another model. */
  async #lease(route: ModelRoute): Promise<AttemptLease | undefined> {
    if (!route.model.needsKey) return noLease;
    const { clock, keyPool } = this.#deps;
    if (keyPool === undefined) {
      throw new ConfigurationError(
        `The model ${route.name} needs a key, and there is no key pool. Pass \`keys\`.`,
      );
    }
    const { deadline, signal, spans, startedAt } = this.#request;
    const queuedAt = clock.now();
    try {
      return await spans.during(
        { kind: 'lease', model: route.name },
        signal,
        async () =>
          (await this.#acquireNear(keyPool, route)) ??
          (await this.#acquire(keyPool, { since: startedAt, deadline })),
        ({ key }) => ({ keyId: key.id, project: key.project }),
      );
    } catch (error) {
      if (!KeyPoolExhaustedError.isInstance(error)) throw error;
      const tried = [...this.#triedModels];
      const decision = this.#decide(exhaustion(error), false, false);
      if (decision?.model === undefined || tried.includes(decision.model)) throw error;
      return undefined;
    } finally {
      this.#queueMs += clock.now() - queuedAt;
    }
  }

  /** A key of the project that holds the files of the request, where one is free soon. */
  async #acquireNear(keyPool: KeyPool, { model }: ModelRoute): Promise<KeyLease | undefined> {
    const [project] = model.projectsWith?.(this.#request.request) ?? [];
    if (project === undefined) return undefined;
    const { deadline, startedAt } = this.#request;
    const soon = Math.min(deadline, this.#deps.clock.now() + maxAffinityWaitMs);
    try {
      return await this.#acquire(keyPool, { since: startedAt, deadline: soon, project });
    } catch (error) {
      if (KeyPoolExhaustedError.isInstance(error)) return undefined;
      throw error;
    }
  }

  #acquire(keyPool: KeyPool, request: Partial<LeaseRequest>): Promise<KeyLease> {
    const { estimatedTokens, priority, signal, tenant } = this.#request;
    const patience = priority === 'interactive' ? { maxWaitMs: maxTurnWaitMs } : {};
    const call = { model: this.#model, estimatedTokens, tenant, priority, ...patience, ...request };
    return keyPool.acquire(call, { signal });
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
