import { sleep } from '../../core/clock.js';
import { BlockedError, IncompleteReplyError, MediaError, ModelCallError } from '../../core/errors.js';
import type { Attempt, Failure } from '../../core/failure.js';
import type { GeneratedFile, ModelEvent, ModelRequest } from '../../model/chat-model.js';
import type { Call } from '../call-scope.js';
import type { ComposedContext } from '../context/compose.js';
import type { ChatStreamEvent } from '../reply.js';
import type { TurnDeps } from '../turn-deps.js';
import { AttemptSeries, type GenerationDeps, type GenerationRequest } from './attempt-series.js';

/** What the model answered in the end, and how it came to it. */
export interface Answer {
  readonly text: string;
  readonly thoughts: string;
  readonly files: readonly GeneratedFile[];
  readonly provider: string;
  readonly model: string;
  readonly finish: Extract<ModelEvent, { type: 'finish' }>;
  readonly attempts: readonly Attempt[];
  readonly queueMs: number;
  readonly firstTokenMs: number | undefined;
}

/** Asks the model for the answer to a composed context, with the settings of the chat and of the request. */
export function generate(
  deps: TurnDeps,
  call: Call,
  context: ComposedContext,
): AsyncGenerator<ChatStreamEvent, Answer, undefined> {
  const { events, models, settings } = deps;
  const { conversation, request, turnId } = call;
  const modelRequest: ModelRequest = {
    model: request.model ?? models.main.name,
    systemInstruction: request.systemInstruction ?? settings.systemInstruction,
    messages: context.messages,
    generation: { ...settings.generation, ...request.generation },
    builtIn: { ...settings.builtIn, ...request.builtIn },
    providerOptions: mergeByProvider(settings.providerOptions, request.providerOptions),
  };
  return answerRequest(
    { ...deps, clock: settings.clock, hedge: settings.hedge },
    {
      request: modelRequest,
      estimatedTokens: context.estimatedTokens,
      tenant: conversation.tenant,
      priority: request.priority,
      startedAt: call.startedAt,
      deadline: call.deadline,
      signal: call.signal,
      spans: call.spans,
      onRetry: (event) => events.emit('retry', { ...conversation, turnId, ...event }),
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
  let firstTokenMs: number | undefined;
  for (;;) {
    let attempt = await series.start();
    try {
      yield series.announce(attempt);
      const hedge = await series.hedge(attempt);
      if (hedge !== undefined) {
        attempt = hedge.first;
        yield series.announce(hedge.second);
      }
      for (;;) {
        const event = await attempt.next();
        if (event.type === 'text') firstTokenMs ??= clock.now() - startedAt;
        if (event.type !== 'finish') {
          yield event;
          continue;
        }
        const { files, model, provider, text, thoughts } = attempt;
        const { attempts, queueMs } = series;
        return { text, thoughts, files, provider, model, finish: event, attempts, queueMs, firstTokenMs };
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (attempt.failure === undefined) throw error;
    } finally {
      series.endAll();
    }

    const { attempt: failed, failure, text } = attempt;
    if (failure.kind === 'blocked') throw blockedBy(failure, text);
    if (MediaError.isInstance(failure.cause)) throw failure.cause;
    const hasEmittedText = text !== '';
    const decision = series.decide(attempt, failure, hasEmittedText);
    if (decision === undefined) {
      throw hasEmittedText
        ? new IncompleteReplyError(text, failure, series.attempts)
        : new ModelCallError(failure, series.attempts);
    }
    request.onRetry({ failed, failure, delayMs: decision.delayMs, model: series.model });
    if (hasEmittedText) yield { type: 'restart', failure };
    if (decision.delayMs > 0) await sleep(clock, decision.delayMs, signal);
  }
}

function blockedBy(failure: Failure, partial: string): BlockedError {
  if (BlockedError.isInstance(failure.cause)) return failure.cause;
  return new BlockedError(failure.reason ?? 'BLOCKED', failure.message, { partial, cause: failure.cause });
}
