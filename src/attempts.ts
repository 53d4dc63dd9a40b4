import type { Clock } from './clock.js';
import { sleep } from './clock.js';
import { BlockedError, IncompleteReplyError, KeyPoolExhaustedError, ModelCallError } from './errors.js';
import type { KeyLease, KeyPool } from './keys/key-pool.js';
import type { ChatModel, ModelEvent, ModelRequest } from './model/chat-model.js';
import type { RetryDecision, RetryPolicy } from './retry/retry-policy.js';
import type { Attempt, Failure } from './types.js';

/** Against a pool that keeps handing out the same bad key: far above what any real fault needs. */
const mostAttempts = 100;

/** Faults that the pool routes around by itself; their attempts do not count. */
const routedKinds: ReadonlySet<Failure['kind']> = new Set([
  'rate-limit',
  'daily-quota',
  'no-quota',
  'auth',
  'permission',
  'billing',
]);
const routedScopes: ReadonlySet<Failure['scope']> = new Set(['key', 'pair', 'project']);
const isRouted = (failure: Failure) => routedKinds.has(failure.kind) && routedScopes.has(failure.scope);

/** Reasons of failures that happened before anything was sent, so that no quota was spent. */
const unsentReasons: ReadonlySet<string> = new Set([
  'API_KEY_UNUSABLE',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

export interface AttemptParts {
  readonly keyPool: KeyPool;
  readonly model: ChatModel;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
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

export type AttemptPart =
  | { readonly type: 'attempt'; readonly attempt: number; readonly model: string; readonly keyId: string }
  | { readonly type: 'thought'; readonly text: string }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'restart'; readonly failure: Failure }
  | {
      readonly type: 'answered';
      readonly text: string;
      readonly thoughts: string;
      readonly model: string;
      readonly finish: Extract<ModelEvent, { type: 'finish' }>;
      readonly attempts: readonly Attempt[];
      readonly queueMs: number;
    };

const abandoned: Failure = {
  kind: 'incomplete',
  scope: 'call',
  message: 'The caller stopped reading the answer.',
};

/** A fault of any origin as a `Failure`. What no `ChatModel` should throw counts as an internal fault. */
function failureOf(error: unknown): Failure {
  if (ModelCallError.isInstance(error)) return error.failure;
  if (BlockedError.isInstance(error)) {
    return { kind: 'blocked', scope: 'call', message: error.message, reason: error.reason, cause: error };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'internal', scope: 'call', message: `The model adapter failed: ${message}`, cause: error };
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

/**
 * Leases a key, streams an answer, and on failure decides and does it again, until there is an answer
 * or nothing left to ride out. The last part is `answered`.
 */
export async function* attemptAnswer(
  parts: AttemptParts,
  call: AttemptCall,
): AsyncGenerator<AttemptPart, void, undefined> {
  const { clock, keyPool, retry } = parts;
  const attempts: Attempt[] = [];
  const triedModels = [call.request.model];
  let model = call.request.model;
  let counted = 0;
  let queueMs = 0;

  const decide = (failure: Failure, visible: boolean): RetryDecision | undefined => {
    if (attempts.length >= mostAttempts) return undefined;
    const elapsedMs = clock.now() - call.startedAt;
    const decision = retry.next({ failure, model, triedModels, attempt: counted, elapsedMs, visible });
    return decision && clock.now() + decision.delayMs < call.deadline ? decision : undefined;
  };
  const switchTo = (next: string | undefined) => {
    if (next === undefined || next === model) return;
    model = next;
    counted = 0;
    triedModels.push(next);
  };

  for (;;) {
    const queuedAt = clock.now();
    let lease: KeyLease;
    try {
      lease = await keyPool.acquire(
        {
          model,
          estimatedTokens: call.estimatedTokens,
          tenant: call.tenant,
          priority: call.priority,
          since: call.startedAt,
          deadline: call.deadline,
        },
        { signal: call.signal },
      );
    } catch (error) {
      if (!KeyPoolExhaustedError.isInstance(error)) throw error;
      const decision = decide(exhaustion(error), false);
      if (decision?.model === undefined || triedModels.includes(decision.model)) throw error;
      switchTo(decision.model);
      continue;
    } finally {
      queueMs += clock.now() - queuedAt;
    }

    const startedAt = clock.now();
    let text = '';
    let thoughts = '';
    let failure: Failure | undefined;
    let settled = false;
    try {
      yield { type: 'attempt', attempt: attempts.length + 1, model, keyId: lease.key.id };
      const request = model === call.request.model ? call.request : { ...call.request, model };
      for await (const event of parts.model.stream(request, {
        apiKey: lease.key.value,
        signal: call.signal,
      })) {
        if (event.type === 'text') {
          text += event.text;
          yield event;
        } else if (event.type === 'thought') {
          thoughts += event.text;
          yield event;
        } else {
          lease.settle({ ok: true, usage: event.usage });
          settled = true;
          attempts.push({ model, keyId: lease.key.id, startedAt, durationMs: clock.now() - startedAt });
          yield { type: 'answered', text, thoughts, model, finish: event, attempts, queueMs };
          return;
        }
      }
      failure = { kind: 'incomplete', scope: 'call', message: 'The answer ended without a finish reason.' };
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason;
      failure = failureOf(error);
      if (failure.kind === 'blocked') {
        lease.settle({ ok: false, failure, sent: true });
        settled = true;
        throw BlockedError.isInstance(error)
          ? error
          : new BlockedError(failure.reason ?? 'BLOCKED', failure.message, { partial: text, cause: error });
      }
    } finally {
      if (!settled) {
        const sent = !unsentReasons.has(failure?.reason ?? '');
        lease.settle({ ok: false, failure: failure ?? abandoned, sent });
      }
    }

    const failed: Attempt = {
      model,
      keyId: lease.key.id,
      startedAt,
      durationMs: clock.now() - startedAt,
      failure,
    };
    attempts.push(failed);
    if (!isRouted(failure)) counted += 1;
    const visible = text !== '';
    const decision = decide(failure, visible);
    if (decision === undefined) {
      throw visible
        ? new IncompleteReplyError(text, failure, attempts)
        : new ModelCallError(failure, attempts);
    }
    switchTo(decision.model);
    call.onRetry({ failed, failure, delayMs: decision.delayMs, model });
    if (visible) yield { type: 'restart', failure };
    if (decision.delayMs > 0) await sleep(clock, decision.delayMs, call.signal);
  }
}
