import { MemoryError, OutputError } from '../core/errors.js';
import type { Message, MessagePart } from '../core/message.js';
import { type Turn, toTurn } from '../core/turn.js';
import { addUsage } from '../core/usage.js';
import { bestEffort } from './best-effort.js';
import type { Call } from './call-scope.js';
import type { ComposedContext } from './context/compose.js';
import { keepMedia, toArchivable } from './inputs/earlier-media.js';
import type { GatheredInputs } from './inputs/gather-inputs.js';
import type { ExecutedCode, Reply } from './reply.js';
import type { TurnAnswer } from './turn-answer.js';
import type { TurnDeps } from './turn-deps.js';
import { describeTurnMedia } from './turn-media.js';
import { forgetMediaOf } from './unnamed-media.js';

/** Everything that a turn came to. */
export interface FinishedTurn {
  readonly inputs: GatheredInputs;
  readonly context: ComposedContext;
  readonly answer: TurnAnswer;
}

/** Stores the turn, its attachments and the files of the answer, and gives the reply. */
export async function storeTurn(deps: TurnDeps, call: Call, finished: FinishedTurn): Promise<Reply> {
  const { clock } = deps.settings;
  const { conversation, startedAt, turnId } = call;
  const { answer, context, inputs } = finished;
  const { messages, model, queueMs, text, thoughts, usage } = answer;
  const media = isOfCaller(call) ? [] : [...inputs.media, ...answer.files.map(toArchivable)];
  const kept = keepMedia(deps, call, media);
  const stored = await append(
    deps,
    call,
    toTurn({ ...turnOf(call, inputs, answer), model, reply: text }),
    inputs,
  );
  await kept;
  const parts = messages.flatMap((message) => message.parts);
  const reply: Reply = {
    ...answer.info,
    text,
    thoughts,
    files: answer.files,
    sources: parts.filter((part) => part.type === 'source'),
    code: executedCode(parts),
    toolCalls: parts.filter((part) => part.type === 'tool-call'),
    toolResults: parts.filter((part) => part.type === 'tool-result'),
    pending: answer.pending,
    sessionId: conversation.sessionId,
    turnId,
    model,
    usage,
    finishReason: answer.finishReason,
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
    ...(answer.object && { object: answer.object.value }),
  };
  if (call.request.output !== undefined && answer.object === undefined) refuseObject(reply);
  deps.events.emit('reply', { tenant: conversation.tenant, reply });
  return reply;
}

/** While calls wait for a decision there is no object. A reader who did not look for them is told so. */
function refuseObject(reply: Reply): void {
  Object.defineProperty(reply, 'object', {
    configurable: true,
    get: () => {
      const issues = 'Calls of the answer wait for a decision: see `reply.pending` and `chat.resume()`.';
      throw new OutputError(`There is no object yet. ${issues}`, { issues, text: reply.text });
    },
  });
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

/** Whether the caller keeps the conversation, and named none here. */
const isOfCaller = ({ request }: Call) => request.history !== undefined && request.sessionId === undefined;

/** What was said and done after the user's message, and what it cost. */
type Said = Pick<TurnAnswer, 'messages' | 'usage'>;

/** The record of a turn. */
function turnOf(call: Call, inputs: GatheredInputs, { messages, usage }: Said) {
  const { askedAt, conversation, request, turnId } = call;
  const asked: Message = request.resume?.turn.messages[0] ?? {
    role: 'user',
    parts: [
      ...inputs.media.map((media) => ({ type: 'media', media: describeTurnMedia(media) }) as const),
      ...(request.prompt.trim() === '' ? [] : [{ type: 'text', text: request.prompt } as const]),
    ],
  };
  const createdAt = request.resume?.turn.createdAt ?? askedAt;
  // What the turn cost before it waited for decisions belongs to it as well.
  const cost = addUsage(request.resume?.turn.usage, usage);
  return { ...conversation, id: turnId, createdAt, messages: [asked, ...messages], usage: cost };
}

/** Makes a turn durable before its end, so that nothing that tools did is done again. */
export async function saveOpenTurn(
  deps: TurnDeps,
  call: Call,
  inputs: GatheredInputs,
  said: Said,
): Promise<void> {
  await append(deps, call, toTurn(turnOf(call, inputs, said)), {}, { replaces: true });
}

/**
 * Appends the turn and says whether it is durable. A failure is an event beside the answer, which the
 * user has already seen.
 */
async function append(
  deps: TurnDeps,
  call: Call,
  turn: Turn,
  { replaced }: Pick<GatheredInputs, 'replaced'>,
  { replaces = false } = {},
): Promise<boolean> {
  const { archive, events, memory, memoryHealth } = deps;
  if (memory === undefined || isOfCaller(call)) return false;
  const { conversation, signal, spans, turnId } = call;
  try {
    // Only a turn with an id of the caller can be known, and one that was saved before its end.
    const hasSteps = turn.messages.length > 2;
    const replace = replaces || hasSteps || call.request.turnId !== undefined;
    await spans.during({ kind: 'store' }, signal, () => memory.append(turn, { replace }));
    memoryHealth.worked();
    if (replaced !== undefined && archive !== undefined) {
      await bestEffort(deps, call, async () => {
        const turns = await memory.recent(conversation, { limit: Number.MAX_SAFE_INTEGER });
        await forgetMediaOf(archive, conversation, replaced, turns);
      });
    }
    return true;
  } catch (cause) {
    const error = MemoryError.isInstance(cause)
      ? cause
      : new MemoryError(`The turn could not be stored: ${cause instanceof Error ? cause.message : cause}`, {
          cause,
        });
    memoryHealth.failed(error);
    events.emit('failure', { ...conversation, turnId, error });
    return false;
  }
}
