import type { Clock } from '../../core/clock.js';
import { sleep } from '../../core/clock.js';
import {
  BlockedError,
  IncompleteReplyError,
  KeyPoolExhaustedError,
  MediaError,
  ModelCallError,
} from '../../core/errors.js';
import type { Attempt, Failure } from '../../core/failure.js';
import type { KeyLease, KeyPool, LeaseRequest } from '../../keys/key-pool.js';
import type { ChatModel, ModelEvent, ModelRequest } from '../../model/chat-model.js';
import type { RetryDecision, RetryPolicy } from '../../retry/retry-policy.js';
import type { ChatStreamEvent } from '../reply.js';
import { firstToSpeak } from './hedge.js';
import { ModelAttempt } from './model-attempt.js';

/** Against a pool that keeps handing out the same bad key: far above what any real fault needs. */
const mostAttempts = 100;

/** How long a call waits for a project that holds its files already, before they are uploaded to another. */
const longestAffinityWaitMs = 5_000;

/** Faults that the pool routes around by itself; their attempts do not count. */
const routedKinds: ReadonlySet<Failure['kind']> = new Set([
  'rate-limit',
  'daily-quota',
  'no-quota',
  'auth',
  'permission',
  'billing',
]);
const routedScopes: ReadonlySet<Failure['scope']> = new Set(['key', 'project-model', 'project']);
const isRouted = (failure: Failure) => routedKinds.has(failure.kind) && routedScopes.has(failure.scope);

export interface AttemptDeps {
  readonly keyPool: KeyPool;
  readonly model: ChatModel;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  /** A second call on another project when the first is silent for so long; at most one a question. */
  readonly hedge?: { readonly afterMs: number } | undefined;
}

export interface AttemptCall {
  readonly request: ModelRequest;
  readonly estimatedTokens: number;
  readonly tenant: string;
  readonly priority: 'interactive' | 'batch';
  readonly startedAt: number;
  /** When the whole call is over, in milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly onRetry: (event: { failed: Attempt; failure: Failure; delayMs: number; model: string }) => void;
}

export type AttemptEvent =
  | Extract<ChatStreamEvent, { type: 'attempt' | 'thought' | 'text' | 'restart' }>
  | {
      readonly type: 'answered';
      readonly text: string;
      readonly thoughts: string;
      readonly model: string;
      readonly finish: Extract<ModelEvent, { type: 'finish' }>;
      readonly attempts: readonly Attempt[];
      readonly queueMs: number;
    };

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

/**
 * Leases a key, streams an answer, and on failure decides and does it again, until there is an answer
 * or nothing left to ride out. The last part is `answered`.
 */
export async function* generate(
  parts: AttemptDeps,
  call: AttemptCall,
): AsyncGenerator<AttemptEvent, void, undefined> {
  const { clock, keyPool, retry } = parts;
  const calls: ModelAttempt[] = [];
  const triedModels = [call.request.model];
  let model = call.request.model;
  let counted = 0;
  let queueMs = 0;

  // Another project would have to be given the files first, which takes longer than any late answer.
  const hasUploads = call.request.contents.some((content) =>
    content.parts.some(({ type }) => type === 'upload'),
  );
  const attempts = () => calls.map((made) => made.attempt);
  const decide = (failure: Failure, visible: boolean): RetryDecision | undefined => {
    if (calls.length >= mostAttempts) return undefined;
    const elapsedMs = clock.now() - call.startedAt;
    const decision = retry.next({
      failure,
      model,
      triedModels,
      attempt: counted,
      elapsedMs,
      hasEmittedText: visible,
    });
    return decision && clock.now() + decision.delayMs < call.deadline ? decision : undefined;
  };
  const switchTo = (next: string | undefined) => {
    if (next === undefined || next === model) return;
    model = next;
    counted = 0;
    triedModels.push(next);
  };
  const { estimatedTokens, priority, signal, tenant } = call;
  const acquire = (need: Partial<LeaseRequest>) =>
    keyPool.acquire({ model, estimatedTokens, tenant, priority, ...need }, { signal });
  const start = (lease: KeyLease, isHedge: boolean): ModelAttempt => {
    const request = model === call.request.model ? call.request : { ...call.request, model };
    const started = new ModelAttempt(parts, { lease, request, signal, isHedge });
    calls.push(started);
    return started;
  };
  const announce = (
    { isHedge, lease: { key }, model: name }: ModelAttempt,
    attempt: number,
  ): AttemptEvent => ({
    type: 'attempt',
    attempt,
    model: name,
    keyId: key.id,
    ...(isHedge && { isHedge }),
  });
  const acquireNear = async (projects: readonly string[]): Promise<KeyLease | undefined> => {
    const [project] = projects;
    if (project === undefined) return undefined;
    const deadline = Math.min(call.deadline, clock.now() + longestAffinityWaitMs);
    try {
      return await acquire({ since: call.startedAt, deadline, project });
    } catch (error) {
      if (KeyPoolExhaustedError.isInstance(error)) return undefined;
      throw error;
    }
  };

  for (;;) {
    const queuedAt = clock.now();
    let lease: KeyLease;
    try {
      lease =
        (await acquireNear(parts.model.projectsWith?.(call.request) ?? [])) ??
        (await acquire({ since: call.startedAt, deadline: call.deadline }));
    } catch (error) {
      if (!KeyPoolExhaustedError.isInstance(error)) throw error;
      const decision = decide(exhaustion(error), false);
      if (decision?.model === undefined || triedModels.includes(decision.model)) throw error;
      switchTo(decision.model);
      continue;
    } finally {
      queueMs += clock.now() - queuedAt;
    }

    const made = calls.length;
    let current = start(lease, false);
    try {
      yield announce(current, made + 1);
      if (parts.hedge !== undefined && !hasUploads && !calls.some(({ isHedge }) => isHedge)) {
        const { afterMs } = parts.hedge;
        current = await firstToSpeak(current, {
          clock,
          afterMs,
          acquire,
          start: (lease) => start(lease, true),
        });
        const second = calls[made + 1];
        if (second !== undefined) yield announce(second, made + 2);
      }
      for (;;) {
        const event = await current.next();
        if (event.type === 'finish') {
          const { text, thoughts } = current;
          yield { type: 'answered', text, thoughts, model, finish: event, attempts: attempts(), queueMs };
          return;
        }
        yield event;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (current.failure === undefined) throw error;
    } finally {
      for (const open of calls.slice(made)) open.end();
    }

    const { attempt: failed, failure, text } = current;
    if (failure.kind === 'blocked') throw blockedBy(failure, text);
    if (MediaError.isInstance(failure.cause)) throw failure.cause;
    counted += calls.slice(made).filter((each) => each.failure && !isRouted(each.failure)).length;
    const visible = text !== '';
    const decision = decide(failure, visible);
    if (decision === undefined) {
      throw visible
        ? new IncompleteReplyError(text, failure, attempts())
        : new ModelCallError(failure, attempts());
    }
    switchTo(decision.model);
    call.onRetry({ failed, failure, delayMs: decision.delayMs, model });
    if (visible) yield { type: 'restart', failure };
    if (decision.delayMs > 0) await sleep(clock, decision.delayMs, signal);
  }
}

function blockedBy(failure: Failure, partial: string): BlockedError {
  if (BlockedError.isInstance(failure.cause)) return failure.cause;
  return new BlockedError(failure.reason ?? 'BLOCKED', failure.message, { partial, cause: failure.cause });
}
