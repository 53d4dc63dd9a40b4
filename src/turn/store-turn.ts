import { MemoryError } from '../core/errors.js';
import type { PreparedMedia } from '../core/media.js';
import type { Message, MessagePart } from '../core/message.js';
import { toTurn } from '../core/turn.js';
import type { TurnMedia } from '../core/turn-media.js';
import type { Call } from './call-scope.js';
import type { ComposedContext } from './context/compose.js';
import type { Answer } from './generate/generate.js';
import { keepMedia, toArchivable } from './inputs/earlier-media.js';
import type { GatheredInputs } from './inputs/gather-inputs.js';
import type { ExecutedCode, Reply } from './reply.js';
import type { TurnDeps } from './turn-deps.js';

/** Everything that a turn came to. */
export interface FinishedTurn {
  readonly inputs: GatheredInputs;
  readonly context: ComposedContext;
  readonly answer: Answer;
}

/** Stores the turn, its attachments and the files of the answer, and gives the reply. */
export async function storeTurn(deps: TurnDeps, call: Call, finished: FinishedTurn): Promise<Reply> {
  const { clock } = deps.settings;
  const { conversation, request, startedAt, turnId } = call;
  const { answer, context, inputs } = finished;
  const { finish, model, queueMs, text, thoughts } = answer;
  const kept = keepMedia(deps, call, [...inputs.media, ...answer.files.map(toArchivable)]);
  const messages: readonly Message[] = [
    {
      role: 'user',
      parts: [
        ...inputs.media.map((media) => ({ type: 'media', media: describeTurnMedia(media) }) as const),
        ...(request.prompt.trim() === '' ? [] : [{ type: 'text', text: request.prompt } as const]),
      ],
    },
    {
      role: 'assistant',
      parts: finish.parts,
      origin: { provider: answer.provider, model },
      ...(finish.info && { info: finish.info }),
    },
  ];
  const turn = { ...conversation, id: turnId, createdAt: startedAt, messages, model, usage: finish.usage };
  const stored = await append(deps, call, toTurn({ ...turn, reply: text }));
  await kept;
  const reply: Reply = {
    ...finish.info,
    text,
    thoughts,
    files: answer.files,
    sources: finish.parts.filter((part) => part.type === 'source'),
    code: executedCode(finish.parts),
    toolCalls: finish.parts.filter((part) => part.type === 'tool-call'),
    sessionId: conversation.sessionId,
    turnId,
    model,
    usage: finish.usage,
    finishReason: finish.finishReason,
    media: inputs.media,
    reattachedMedia: inputs.reattached.map(({ media }) => describeTurnMedia(media)),
    recalled: context.recalled,
    recentTurns: context.recentTurns,
    summarizedTurns: context.summarizedTurns,
    attempts: answer.attempts,
    timings: {
      totalMs: clock.now() - startedAt,
      mediaMs: inputs.mediaMs,
      memoryMs: inputs.memoryMs,
      queueMs,
      firstTokenMs: answer.firstTokenMs,
    },
    stored,
  };
  deps.events.emit('reply', { tenant: conversation.tenant, reply });
  return reply;
}

/** Each piece of code with the result that follows it. */
function executedCode(parts: readonly MessagePart[]): readonly ExecutedCode[] {
  return parts.flatMap((part, at) => {
    if (part.type !== 'code') return [];
    const rest = parts.slice(at + 1);
    const next = rest.find(({ type }) => type === 'code' || type === 'code-result');
    const result = next?.type === 'code-result' && { outcome: next.outcome, output: next.output };
    return [{ code: part.code, language: part.language, ...(result && { result }) }];
  });
}

/** What memory keeps of an attachment. */
function describeTurnMedia(media: PreparedMedia): TurnMedia {
  const frames = media.parts.flatMap((part) => (part.timestampMs === undefined ? [] : [part.timestampMs]));
  return {
    kind: media.kind,
    name: media.name,
    fingerprint: media.fingerprint,
    mimeType: media.source.mimeType,
    durationMs: media.source.durationMs,
    frameTimestampsMs: frames.length > 0 ? frames : undefined,
  };
}

/**
 * Appends the turn and says whether it is durable. A failure is an event beside the answer, which the
 * user has already seen.
 */
async function append(
  { events, memory }: TurnDeps,
  call: Call,
  turn: ReturnType<typeof toTurn>,
): Promise<boolean> {
  if (memory === undefined) return false;
  const { conversation, signal, spans, turnId } = call;
  try {
    await spans.during({ kind: 'store' }, signal, () => memory.append(turn));
    return true;
  } catch (cause) {
    const error = MemoryError.isInstance(cause)
      ? cause
      : new MemoryError(`The turn could not be stored: ${cause instanceof Error ? cause.message : cause}`, {
          cause,
        });
    events.emit('failure', { ...conversation, turnId, error });
    return false;
  }
}
