import type { ChatParts } from '../chat/default-parts.js';
import type { ResolvedOptions } from '../chat/parse-options.js';
import type { Emitter } from '../core/emitter.js';
import type { Call } from './call-scope.js';
import type { ChatEvents } from './chat-events.js';
import { composeContext } from './context/compose.js';
import { generate } from './generate/attempt-loop.js';
import { keepMedia } from './inputs/earlier-media.js';
import { gatherInputs } from './inputs/gather-inputs.js';
import type { ChatStreamEvent, Reply } from './reply.js';
import { describeTurnMedia, storeTurn } from './store-turn.js';

export interface TurnDeps extends ChatParts {
  readonly events: Emitter<ChatEvents>;
  readonly options: ResolvedOptions;
}

/** One call from the prompt to the stored turn; the last part is `done`. */
export async function* runTurn(
  parts: TurnDeps,
  call: Call,
): AsyncGenerator<ChatStreamEvent, void, undefined> {
  const { events, memory } = parts;
  const { clock, context: budget, generation, hedge, systemInstruction } = parts.options;
  const { conversation, request, signal, turnId } = call;
  const { sessionId } = conversation;
  const elapsedMs = () => clock.now() - call.startedAt;
  signal.throwIfAborted();

  const inputs = yield* gatherInputs({ ...parts, clock, context: budget }, call);
  const context = composeContext({ ...inputs, prompt: request.prompt, budget });
  if (memory !== undefined) {
    yield { type: 'recall', turns: context.recalled, recentTurns: context.recentTurns };
  }

  const answering = generate(
    { ...parts, clock, hedge },
    {
      request: {
        model: request.model ?? parts.modelName,
        systemInstruction: request.systemInstruction ?? systemInstruction,
        contents: context.contents,
        generation: request.generation ? { ...generation, ...request.generation } : generation,
      },
      estimatedTokens: context.estimatedTokens,
      tenant: conversation.tenant,
      priority: request.priority,
      startedAt: call.startedAt,
      deadline: call.deadline,
      signal,
      onRetry: (event) => events.emit('retry', { sessionId, turnId, ...event }),
    },
  );
  let firstTokenMs: number | undefined;
  for await (const part of answering) {
    if (part.type === 'text') firstTokenMs ??= elapsedMs();
    if (part.type === 'attempt') {
      const { type: _, ...attempt } = part;
      events.emit('attempt', { sessionId, turnId, ...attempt });
    }
    if (part.type !== 'answered') {
      yield part;
      continue;
    }
    const { attempts, finish, model, queueMs, text, thoughts } = part;
    const kept = keepMedia(parts, call, inputs.media);
    const remembered = await storeTurn({ memory, clock, events }, call, {
      ...conversation,
      id: turnId,
      createdAt: call.startedAt,
      prompt: request.prompt,
      reply: text,
      media: inputs.media.length > 0 ? inputs.media.map(describeTurnMedia) : undefined,
      model,
      replyParts: finish.parts,
      usage: finish.usage,
    });
    await kept;
    const reply: Reply = {
      text,
      thoughts,
      sessionId,
      turnId,
      model,
      usage: finish.usage,
      finishReason: finish.finishReason,
      media: inputs.media,
      reattachedMedia: inputs.reattached.map(({ media }) => describeTurnMedia(media)),
      recalled: context.recalled,
      recentTurns: context.recentTurns,
      summarizedTurns: context.summarizedTurns,
      attempts,
      timings: {
        totalMs: elapsedMs(),
        mediaMs: inputs.mediaMs,
        memoryMs: inputs.memoryMs,
        queueMs,
        firstTokenMs,
      },
      stored: remembered,
    };
    events.emit('reply', { tenant: conversation.tenant, reply });
    yield { type: 'done', reply };
  }
}
