import type { MediaSource, PreparedMedia } from '../../core/media.js';
import type { Message } from '../../core/message.js';
import type { BuiltInTools } from '../../model/chat-model.js';
import type { Call } from '../call-scope.js';
import type { ComposedContext } from '../context/compose.js';
import { checkMediaBytes } from '../context/media-bytes.js';
import { ask } from '../generate/ask.js';
import type { Answer } from '../generate/generate.js';
import type { ChatStreamEvent, PendingCall } from '../reply.js';
import type { TurnDeps } from '../turn-deps.js';
import type { Decisions } from '../turn-request.js';
import { callTools } from './call-tools.js';
import type { ToolOutcome } from './run-tool.js';
import type { ToolSet } from './tool-set.js';
import { moved, TurnRecord } from './turn-record.js';

/** The least that is worth showing of a file. */
const fewestMediaTokens = 300;

export interface StepsInput {
  readonly context: ComposedContext;
  readonly builtIn: BuiltInTools | undefined;
  readonly tools: ToolSet;
  /** Attachments of the question. */
  readonly media: readonly PreparedMedia[];
  /** Of an earlier run of the same turn, with the media of its results. */
  readonly earlier?:
    | { readonly messages: readonly Message[]; readonly media: readonly PreparedMedia[] }
    | undefined;
  readonly decisions: Decisions;
  /** Makes the turn durable as it is so far; resolves even if that fails. */
  readonly save: (record: Pick<TurnRecord, 'messages' | 'usage'>) => Promise<void>;
  /** Keeps media of results for later turns. */
  readonly keep: (media: readonly PreparedMedia[]) => Promise<void>;
}

/** All steps of a turn. */
export interface StepsAnswer {
  readonly record: TurnRecord;
  readonly pending: readonly PendingCall[];
}

/**
 * Asks the model, runs the tools that it calls, and asks again with their results, until it answers without a
 * call, somebody has to decide about one, or the steps are used up: in the last one it may call nothing.
 */
export async function* answerInSteps(
  deps: TurnDeps,
  call: Call,
  input: StepsInput,
): AsyncGenerator<ChatStreamEvent, StepsAnswer, undefined> {
  const { builtIn, context, decisions, earlier, tools } = input;
  const record = new TurnRecord(earlier?.messages, earlier?.media);
  yield* record.shown;
  let pending = record.openCalls.length > 0 ? yield* runOpenCalls(deps, call, record, input, decisions) : [];
  for (let step = 1; pending.length === 0; step += 1) {
    const isLast = step >= tools.maxSteps;
    const { choice } = tools;
    // A call that is demanded is demanded once.
    const toolChoice = isLast ? 'none' : step > 1 && choice !== 'none' ? 'auto' : choice;
    const asked = {
      messages: [...context.messages, ...record.modelMessages],
      estimatedTokens: context.estimatedTokens + record.estimatedTokens,
      builtIn: toolChoice === 'none' ? undefined : builtIn,
      tools: tools.declarations,
      toolChoice,
      preferProject: record.answers.at(-1)?.project,
    };
    yield* askOnce(ask(deps, call, asked), record);
    if (toolChoice === 'none' || record.openCalls.length === 0) break;
    pending = yield* runOpenCalls(deps, call, record, input, decisions);
  }
  return { record, pending };
}

/** One step: shows what it says, with the steps before it if it has to start again. */
async function* askOnce(
  answering: AsyncGenerator<ChatStreamEvent, Answer, undefined>,
  record: TurnRecord,
): AsyncGenerator<ChatStreamEvent, void, undefined> {
  let shown: ChatStreamEvent[] = [];
  let hasText = false;
  try {
    for (;;) {
      const { done, value } = await answering.next();
      if (done) {
        record.addAnswer(value, shown);
        return;
      }
      if (value.type === 'restart') {
        shown = [];
        hasText = false;
        yield value;
        yield* record.shown;
        continue;
      }
      if (value.type === 'attempt' || value.type === 'object') {
        yield value;
        continue;
      }
      const before = value.type === 'text' && !hasText ? record.breakBefore : '';
      hasText ||= value.type === 'text';
      const by = record.text.length + record.breakBefore.length;
      const event = value.type === 'source' ? { ...value, source: moved(value.source, by) } : value;
      for (const each of before === '' ? [event] : [{ type: 'text', text: before } as const, event]) {
        shown.push(each);
        yield each;
      }
    }
  } finally {
    // For a caller that leaves in the middle.
    await answering.return(undefined as never);
  }
}

async function* runOpenCalls(
  deps: TurnDeps,
  call: Call,
  record: TurnRecord,
  { keep, media: attached, save, tools }: StepsInput,
  decisions: Decisions,
): AsyncGenerator<ChatStreamEvent, readonly PendingCall[], undefined> {
  const { mediaBytes, mediaTokens } = deps.settings.context;
  const { model, name } = deps.models.get(call.request.model ?? deps.models.main.name);
  const prepare = async (sources: readonly MediaSource[], signal: AbortSignal) => {
    const taken = [...attached, ...record.media];
    const left = mediaTokens - taken.reduce((sum, { estimatedTokens }) => sum + estimatedTokens, 0);
    const maxTokens = Math.max(fewestMediaTokens, Math.floor(left / Math.max(1, sources.length)));
    const media = await Promise.all(
      sources.map(async (source) => {
        const prepared = await deps.media.prepare(source, {
          ...{ signal, maxTokens, accepts: model.capabilities(name).media },
        });
        call.onEnd(() => void prepared.release?.());
        return prepared;
      }),
    );
    checkMediaBytes([...taken, ...media], mediaBytes);
    return media;
  };
  const saveOutcomes = async (outcomes: readonly ToolOutcome[]) => {
    record.setResults(outcomes);
    await keep(outcomes.flatMap(({ media }) => media));
    await save(record);
  };
  const running = callTools(
    { ...deps, prepare, save: saveOutcomes },
    call,
    record.openCalls,
    tools,
    decisions,
  );
  for (;;) {
    const { done, value } = await running.next();
    if (done) return value;
    const event = { type: 'tool-result', ...value } as const;
    record.addShown(event);
    yield event;
  }
}
