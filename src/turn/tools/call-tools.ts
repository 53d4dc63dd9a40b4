import { Channel } from '../../core/channel.js';
import type { ToolCallPart } from '../../core/message.js';
import type { Tool } from '../../core/tool.js';
import type { Call } from '../call-scope.js';
import type { PendingCall } from '../reply.js';
import type { Decisions } from '../turn-request.js';
import {
  contextOf,
  failedResult,
  runTool,
  type ToolOutcome,
  type ToolRunDeps,
  toResult,
} from './run-tool.js';
import type { ToolSet } from './tool-set.js';

/** Calls of one step that run at once. */
const maxParallel = 8;

export interface ToolCallsDeps extends ToolRunDeps {
  /** Makes the results durable that are there so far. Called before tools run, and after each. */
  readonly save: (outcomes: readonly ToolOutcome[]) => Promise<void>;
}

interface Runnable {
  readonly part: ToolCallPart;
  readonly tool: Tool;
  readonly input: unknown;
}

type Planned = ToolOutcome | Runnable | { readonly pending: PendingCall };

/**
 * Runs the calls of one step; yields each result as it comes. Returns those that somebody has to decide about.
 *
 * A result is durable before it is yielded. While a tool runs, the record says that it was interrupted: that is
 * what the model is told if the process ends.
 */
export async function* callTools(
  deps: ToolCallsDeps,
  call: Call,
  calls: readonly ToolCallPart[],
  tools: ToolSet,
  decisions: Decisions,
): AsyncGenerator<ToolOutcome, readonly PendingCall[], undefined> {
  const planned = await Promise.all(
    calls.map((part) =>
      plan(deps, call, part, tools, decisions).catch((error: unknown) => notRun(call, part, error)),
    ),
  );
  const settled = planned.filter((each): each is ToolOutcome => 'result' in each);
  const runnable = planned.filter((each): each is Runnable => 'tool' in each);
  const pending = planned.flatMap((each) => ('pending' in each ? [each.pending] : []));
  const interrupted = runnable
    .filter(({ tool }) => tool.repeatable !== true)
    .map(({ part }) => ({
      result: failedResult(part, 'The call was interrupted. It is not known whether it took effect.'),
      media: [],
    }));
  if (settled.length + interrupted.length > 0) await deps.save([...settled, ...interrupted]);
  yield* settled;
  if (runnable.length === 0) return pending;

  const waiting = [...runnable];
  const channel = new Channel<ToolOutcome>();
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const outcome = await runTool(deps, call, next);
      await deps.save([outcome]);
      channel.push(outcome);
    }
  };
  Promise.all(Array.from({ length: maxParallel }, work)).then(
    () => channel.end(),
    (error: unknown) => channel.fail(error),
  );
  yield* channel.read();
  return pending;
}

/** A check of the app that throws decides nothing, so that the tool does not run. */
function notRun({ signal }: Call, part: ToolCallPart, error: unknown): ToolOutcome {
  signal.throwIfAborted();
  const reason = error instanceof Error ? error.message : String(error);
  return {
    result: failedResult(part, `The call was not run, because its check failed: ${reason}`),
    media: [],
  };
}

async function plan(
  deps: ToolCallsDeps,
  call: Call,
  part: ToolCallPart,
  tools: ToolSet,
  decisions: Decisions,
): Promise<Planned> {
  const refuse = (message: string): ToolOutcome => ({ result: failedResult(part, message), media: [] });
  const { callId, input, name } = part;
  const tool = tools.byName.get(name);
  if (tool === undefined)
    return refuse(`There is no tool ${name}. There are: ${[...tools.byName.keys()].join(', ')}.`);
  const given = decisions.results.get(callId);
  if (given !== undefined) return { result: toResult(deps, part, given, []), media: [] };
  const parsed = await tool.parse(input);
  if (parsed.issues !== undefined)
    return refuse(`The input is not valid: ${parsed.issues}. Call again with valid input.`);
  if (tool.execute === undefined) return { pending: { callId, name, input, needs: 'result' } };
  const approval = decisions.approvals.get(callId);
  if (approval === false) return refuse('The user did not allow this call.');
  if (
    approval === undefined &&
    (await tool.needsApproval?.(parsed.value, contextOf(call, part, call.signal))) === true
  )
    return { pending: { callId, name, input, needs: 'approval' } };
  return { part, tool, input: parsed.value };
}
