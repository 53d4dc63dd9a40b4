import type { Turn } from '../../core/turn.js';
import type { BuiltInTools } from '../../model/chat-model.js';
import type { Call } from '../call-scope.js';
import type { ComposedContext } from '../context/compose.js';
import { ask } from '../generate/ask.js';
import type { Answer } from '../generate/generate.js';
import { keepMedia, loadKept } from '../inputs/earlier-media.js';
import type { GatheredInputs } from '../inputs/gather-inputs.js';
import type { ChatStreamEvent } from '../reply.js';
import type { TurnAnswer } from '../turn-answer.js';
import type { TurnDeps } from '../turn-deps.js';
import { answerInSteps, type StepsAnswer, type StepsInput } from './answer-in-steps.js';
import type { ToolSet } from './tool-set.js';

interface Asked {
  readonly inputs: GatheredInputs;
  readonly context: ComposedContext;
  readonly builtIn: BuiltInTools | undefined;
  readonly tools: ToolSet | undefined;
  /** Makes the turn durable as it is so far. */
  readonly save: StepsInput['save'];
}

const undecided: StepsInput['decisions'] = { approvals: new Map(), results: new Map() };

/** Asks the model; with tools, in as many steps as it takes. */
export async function* answerTurn(
  deps: TurnDeps,
  call: Call,
  { builtIn, context, inputs, save, tools }: Asked,
): AsyncGenerator<ChatStreamEvent, TurnAnswer, undefined> {
  if (tools === undefined) return ofAnswer(yield* ask(deps, call, { ...context, builtIn }));
  const { models } = deps;
  const { request } = call;
  const messages = stepsSoFar(inputs.replaced, call, tools);
  const results = messages.flatMap(({ parts }) => parts.filter((part) => part.type === 'tool-result'));
  const earlierMedia = await loadKept(
    deps,
    call,
    results.flatMap(({ media = [] }) => media),
  );
  const steps = yield* answerInSteps(deps, call, {
    ...{ builtIn, context, tools, media: inputs.media },
    earlier: { messages, media: earlierMedia },
    decisions: request.resume?.decisions ?? undecided,
    save,
    keep: (media) => keepMedia(deps, call, media),
  });
  return ofSteps(steps, request.model ?? models.main.name);
}

/** What an earlier run of the same turn did before it ended: its results are not made again. */
function stepsSoFar(stored: Turn | undefined, { request }: Call, { byName }: ToolSet): Turn['messages'] {
  if (stored === undefined || stored.prompt !== request.prompt) return [];
  const steps = stored.messages.filter(({ role }) => role !== 'user');
  const last = steps.at(-1);
  const isOpen =
    last?.role === 'tool' ||
    last?.parts.some((part) => part.type === 'tool-call' && byName.has(part.name)) === true;
  return isOpen ? steps : [];
}

function ofAnswer(answer: Answer): TurnAnswer {
  const { finish, model, provider } = answer;
  const { finishReason, info, parts, usage } = finish;
  return {
    ...answer,
    messages: [{ role: 'assistant', parts, origin: { provider, model }, ...(info && { info }) }],
    ...{ finishReason, info, usage, pending: [], toolMedia: [] },
  };
}

/** @param asked The name of the model that was asked, for a turn in which none answered. */
function ofSteps({ pending, record }: StepsAnswer, asked: string): TurnAnswer {
  const { answers, files, media, messages, text, usage } = record;
  const last = answers.at(-1);
  return {
    ...{ files, messages, pending, text, usage },
    thoughts: answers.map(({ thoughts }) => thoughts).join(''),
    model: last?.model ?? asked,
    finishReason: last?.finish.finishReason ?? 'stop',
    info: last?.finish.info,
    object: last?.object,
    attempts: answers.flatMap(({ attempts }) => attempts),
    queueMs: answers.reduce((sum, { queueMs }) => sum + queueMs, 0),
    firstTokenMs: answers.find(({ firstTokenMs }) => firstTokenMs !== undefined)?.firstTokenMs,
    toolMedia: media,
  };
}
