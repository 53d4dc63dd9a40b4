import { sleep } from '../../core/clock.js';
import { BlockedError, MediaError } from '../../core/errors.js';
import type { Attempt, Failure } from '../../core/failure.js';
import type { GeneratedFile, ModelRequest } from '../../model/chat-model.js';
import type { Call } from '../call-scope.js';
import type { ChatStreamEvent } from '../reply.js';
import type { TurnDeps } from '../turn-deps.js';
import { AnswerDraft } from './answer-draft.js';
import { AttemptSeries } from './attempt-series.js';
import type { AskedRequest } from './fit-request.js';
import type { GenerationDeps, GenerationRequest } from './generation.js';
import type { Finish } from './model-attempt.js';

/** What the model answered in the end, and how it came to it. */
export interface Answer {
  readonly text: string;
  readonly thoughts: string;
  readonly files: readonly GeneratedFile[];
  readonly provider: string;
  readonly model: string;
  /** Of the key; absent for a model that needs none. */
  readonly project?: string | undefined;
  readonly finish: Finish;
  /** The checked value of an answer to a question with `output`. */
  readonly object?: { readonly value: unknown } | undefined;
  readonly attempts: readonly Attempt[];
  readonly queueMs: number;
  readonly firstTokenMs: number | undefined;
}

/** What to ask, and the tools for it. */
export interface ModelQuestion extends Pick<ModelRequest, 'messages' | 'builtIn' | 'tools' | 'toolChoice'> {
  readonly estimatedTokens: number;
  /** Answered the step before. */
  readonly preferProject?: string | undefined;
}

/** Asks the model for one answer, with the settings of the chat and of the request. */
export function generate(
  deps: TurnDeps,
  call: Call,
  { builtIn, estimatedTokens, messages, preferProject, toolChoice, tools }: ModelQuestion,
): AsyncGenerator<ChatStreamEvent, Answer, undefined> {
  const { events, models, plainHistory, settings } = deps;
  const { conversation, request, turnId } = call;
  const modelRequest: AskedRequest = {
    model: request.model ?? models.main.name,
    systemInstruction: request.systemInstruction ?? settings.systemInstruction,
    messages,
    generation: { ...settings.generation, ...request.generation },
    builtIn,
    ...(tools && { tools, toolChoice }),
    ...(request.output && { output: request.output.jsonSchema }),
    providerOptions: mergeByProvider(settings.providerOptions, request.providerOptions),
  };
  return answerRequest(
    { ...deps, clock: settings.clock, hedge: settings.hedge },
    {
      request: modelRequest,
      estimatedTokens,
      preferProject,
      tenant: conversation.tenant,
      priority: request.priority,
      startedAt: call.startedAt,
      deadline: call.deadline,
      signal: call.signal,
      spans: call.spans,
      onRetry: (event) => events.emit('retry', { ...conversation, turnId, ...event }),
      onPlainHistory: () => plainHistory.add(conversation, call.askedAt),
    },
  );
}

type ByProvider = ModelRequest['providerOptions'];

function mergeByProvider(ofChat: ByProvider, ofRequest: ByProvider): ByProvider {
  if (ofChat === undefined || ofRequest === undefined) return ofRequest ?? ofChat;
  const merged = Object.entries(ofRequest).map(([name, own]) => [name, { ...ofChat[name], ...own }]);
  return { ...ofChat, ...Object.fromEntries(merged) };
}

/**
 * Leases a key and streams an answer. On failure, waits or changes key or model as the policy says, and
 * tries again until there is an answer or the policy gives up.
 *
 * @throws BlockedError, MediaError, KeyPoolExhaustedError, ModelCallError, IncompleteReplyError
 */
export async function* answerRequest(
  deps: GenerationDeps,
  request: GenerationRequest,
): AsyncGenerator<ChatStreamEvent, Answer, undefined> {
  const { clock } = deps;
  const { signal, startedAt } = request;
  const series = new AttemptSeries(deps, request);
  const draft = new AnswerDraft();
  let firstTokenMs: number | undefined;
  for (;;) {
    let attempt = await series.start(draft.isEmpty ? undefined : draft.text);
    let isRefusedHistory = false;
    try {
      if (!draft.isEmpty && !series.isContinuing && series.lastFault !== undefined) {
        // There was no key to go on with, and a fallback model starts again.
        draft.discard();
        yield { type: 'restart', failure: series.lastFault };
      }
      yield series.announce(attempt);
      const hedge = await series.hedge(attempt);
      if (hedge !== undefined) {
        attempt = hedge.first;
        yield series.announce(hedge.second);
      }
      let finish: Finish | undefined;
      while (finish === undefined) {
        const event = await attempt.next();
        if (event.type === 'text') firstTokenMs ??= clock.now() - startedAt;
        if (event.type === 'finish') finish = event;
        else if (draft.isEmpty) yield event;
        else yield* draft.accept(event);
      }
      yield* draft.end();
      if (series.goesOn(finish, attempt)) {
        draft.add(attempt, finish);
        continue;
      }
      series.complete();
      return {
        text: draft.text + attempt.text,
        thoughts: draft.thoughts + attempt.thoughts,
        files: [...draft.files, ...attempt.files],
        provider: attempt.provider,
        model: attempt.model,
        project: attempt.lease.key?.project,
        finish: draft.merge(finish),
        attempts: series.attempts,
        queueMs: series.queueMs,
        firstTokenMs,
      };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (attempt.failure === undefined) throw error;
      isRefusedHistory = series.takesPlainHistory(attempt);
    } finally {
      series.endAll();
    }

    const { attempt: failed, failure, hasAnswered, text, thoughts } = attempt;
    if (isRefusedHistory) {
      request.onRetry({ failed, failure, delayMs: 0, model: series.model });
      if (thoughts !== '') yield { type: 'restart', failure };
      continue;
    }
    const hasShown = hasAnswered || !draft.isEmpty;
    if (failure.kind === 'blocked') throw blockedBy(failure, draft.text + text);
    if (MediaError.isInstance(failure.cause)) throw failure.cause;
    const decision = series.decide(attempt, failure);
    if (decision === undefined) throw series.errorAfter(failure, hasShown ? draft.text + text : undefined);
    request.onRetry({ failed, failure, delayMs: decision.delayMs, model: series.model });
    if (series.isContinuing) yield* draft.repeat(attempt, failure);
    else {
      draft.discard();
      if (hasShown || thoughts !== '') yield { type: 'restart', failure };
    }
    if (decision.delayMs > 0) await sleep(clock, decision.delayMs, signal);
  }
}

function blockedBy(failure: Failure, partial: string): BlockedError {
  if (BlockedError.isInstance(failure.cause)) return failure.cause;
  return new BlockedError(failure.reason ?? 'BLOCKED', failure.message, { partial, cause: failure.cause });
}
