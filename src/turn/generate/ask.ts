import { Allow, parse } from 'partial-json';
import { sleep } from '../../core/clock.js';
import { OutputError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import type { JsonValue, SourcePart } from '../../core/message.js';
import type { CheckedSchema } from '../../core/schema.js';
import type { ParsedInput } from '../../core/tool.js';
import { addUsage } from '../../core/usage.js';
import type { RetryDecision } from '../../retry/retry-policy.js';
import type { Call } from '../call-scope.js';
import type { ChatStreamEvent } from '../reply.js';
import type { TurnDeps } from '../turn-deps.js';
import { type Answer, generate, type ModelQuestion } from './generate.js';

type Asking = AsyncGenerator<ChatStreamEvent, Answer, undefined>;

/** Asks the model for one answer; if the question has an `output`, for one that fits it. */
export function ask(deps: TurnDeps, call: Call, question: ModelQuestion): Asking {
  const { output } = call.request;
  return output === undefined ? generate(deps, call, question) : askFor(output, deps, call, question);
}

/**
 * An answer that calls a tool is none yet. One that does not fit is asked for once more, with what is wrong with it.
 *
 * @throws OutputError if it does not fit then either.
 */
async function* askFor(output: CheckedSchema, deps: TurnDeps, call: Call, question: ModelQuestion): Asking {
  const schemaTokens = Math.ceil(JSON.stringify(output.jsonSchema).length / 4);
  const asked = { ...question, estimatedTokens: question.estimatedTokens + schemaTokens };
  const first = yield* withObjects(generate(deps, call, asked));
  if (first.finish.parts.some(({ type }) => type === 'tool-call')) return first;
  const read = await readAnswer(output, first);
  if (read.issues === undefined) return { ...first, object: { value: read.value } };

  const failure: Failure = {
    kind: 'incomplete',
    scope: 'call',
    reason: 'OUTPUT',
    message: `The answer is not what \`output\` asks for: ${read.issues}.`,
  };
  const decision =
    first.finish.finishReason !== 'max-tokens' ? decide(deps, call, first, failure) : undefined;
  if (decision === undefined) throw unfit(first, read.issues);
  yield { type: 'restart', failure };
  if (decision.delayMs > 0) await sleep(deps.settings.clock, decision.delayMs, call.signal);
  // What the answer is based on is still true, but no longer of these places in the text.
  const sources = first.finish.parts.flatMap((part) => (part.type === 'source' ? withoutSpans(part) : []));
  for (const source of sources) yield { type: 'source', source };
  const second = yield* withObjects(generate(deps, call, repairOf(asked, first, read.issues)));
  const again = await readAnswer(output, second);
  if (again.issues !== undefined) throw unfit(second, again.issues);
  const { finish } = second;
  return {
    ...second,
    attempts: [...first.attempts, ...second.attempts],
    queueMs: first.queueMs + second.queueMs,
    firstTokenMs: first.firstTokenMs ?? second.firstTokenMs,
    finish: {
      ...finish,
      parts: [...sources, ...finish.parts],
      usage: addUsage(first.finish.usage, finish.usage),
      info: first.finish.info && { ...first.finish.info, ...finish.info },
    },
    object: { value: again.value },
  };
}

/** Whether to ask again. Which model then answers is decided as for every question. */
function decide(deps: TurnDeps, call: Call, first: Answer, failure: Failure): RetryDecision | undefined {
  const { events, models, retry, settings } = deps;
  const now = settings.clock.now();
  const decision = retry.next({
    failure,
    isRoutedByPool: false,
    model: first.model,
    triedModels: [first.model],
    attempt: 1,
    earlierFailures: [],
    elapsedMs: now - call.startedAt,
    hasEmittedText: first.text !== '',
    isBound: true,
  });
  const failed = first.attempts.at(-1);
  if (decision === undefined || failed === undefined || now + decision.delayMs >= call.deadline)
    return undefined;
  const { delayMs } = decision;
  events.emit('retry', {
    ...call.conversation,
    turnId: call.turnId,
    failed,
    failure,
    delayMs,
    model: call.request.model ?? models.main.name,
  });
  return decision;
}

/** The same question with the answer and what is wrong with it, and nothing to do but to write it again. */
function repairOf(
  question: ModelQuestion,
  { finish, model, project, provider }: Answer,
  issues: string,
): ModelQuestion {
  const said = finish.parts.filter((part) => part.type === 'text');
  const text = `This does not fit: ${issues}. Write it again so that it is JSON alone and fits the schema.`;
  return {
    ...question,
    messages: [
      ...question.messages,
      ...(said.length > 0 ? [{ role: 'assistant' as const, parts: said, origin: { provider, model } }] : []),
      { role: 'user', parts: [{ type: 'text', text }] },
    ],
    builtIn: undefined,
    preferProject: project,
    ...(question.tools && { toolChoice: 'none' }),
  };
}

async function readAnswer({ parse }: CheckedSchema, { finish, text }: Answer): Promise<ParsedInput> {
  const value = readJson(text);
  if (value !== undefined) return parse(value);
  if (finish.finishReason === 'max-tokens') return { issues: 'it was cut off at the limit of its length' };
  return { issues: text.trim() === '' ? 'it has no text' : 'it is not JSON' };
}

/** JSON, alone or as the only block of code. */
function readJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(unfenced(text));
  } catch {
    return undefined;
  }
}

function unfenced(text: string): string {
  const block = text.trim();
  if (!block.startsWith('```')) return block;
  const inside = block.slice(block.indexOf('\n') + 1);
  return inside.endsWith('```') ? inside.slice(0, -3) : inside;
}

function unfit({ finish, text }: Answer, issues: string): OutputError {
  const advice =
    finish.finishReason === 'max-tokens'
      ? 'Raise `generation.maxOutputTokens`, or ask for less.'
      : 'Make the schema simpler or describe its fields; the answer is `text` of this error.';
  return new OutputError(`The answer is not what \`output\` asks for: ${issues}. ${advice}`, {
    issues,
    text,
  });
}

function withoutSpans({ spans: _, ...source }: SourcePart): SourcePart {
  return source;
}

/** The answer is looked at again only when it has grown by this part, so that a long one costs no more than a few looks. */
const growth = 1 / 16;

/** Shows the object as it grows beside the text that it is read from. */
async function* withObjects(answering: Asking): Asking {
  let text = '';
  let readAt = 0;
  let shown: string | undefined;
  const look = function* (): Generator<ChatStreamEvent> {
    readAt = text.length;
    const object = soFar(text);
    const written = object === undefined ? shown : JSON.stringify(object);
    if (object === undefined || written === shown) return;
    shown = written;
    yield { type: 'object', object };
  };
  try {
    for (;;) {
      const { done, value } = await answering.next();
      if (done) {
        if (readAt < text.length) yield* look();
        return value;
      }
      yield value;
      if (value.type === 'restart') {
        text = '';
        readAt = 0;
        shown = undefined;
      } else if (value.type === 'text') {
        text += value.text;
        if (text.length >= readAt * (1 + growth)) yield* look();
      }
    }
  } finally {
    // For a caller that leaves in the middle.
    await answering.return(undefined as never);
  }
}

/** Values that are there, with strings and lists as far as they go. */
function soFar(text: string): JsonValue | undefined {
  const json = unfenced(text);
  if (!json.startsWith('{') && !json.startsWith('[')) return undefined;
  try {
    return parse(json, Allow.STR | Allow.OBJ | Allow.ARR);
  } catch {
    return undefined;
  }
}
