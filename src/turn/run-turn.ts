import { builtInTools } from './built-in-tools.js';
import type { Call } from './call-scope.js';
import { checkOutput } from './check-output.js';
import { composeContext } from './context/compose.js';
import { gatherInputs } from './inputs/gather-inputs.js';
import type { ChatStreamEvent } from './reply.js';
import { saveOpenTurn, storeTurn } from './store-turn.js';
import { answerTurn } from './tools/answer-turn.js';
import { toolSetOf } from './tools/tool-set.js';
import type { TurnDeps } from './turn-deps.js';

/** The path of one question, from the prompt to the stored turn; the last event is `done`. */
export async function* runTurn(deps: TurnDeps, call: Call): AsyncGenerator<ChatStreamEvent, void, undefined> {
  call.signal.throwIfAborted();
  const builtIn = builtInTools(deps, call.request);
  const tools = toolSetOf(deps, call.request);
  checkOutput(deps, call.request);

  // Media are prepared and memory is read, at the same time.
  const inputs = yield* gatherInputs(deps, call);

  // What goes into the request, within the budgets.
  const context = composeContext({ ...inputs, prompt: call.request.prompt, budget: deps.settings.context });
  if (deps.memory !== undefined) {
    yield { type: 'recall', turns: context.recalled, recentTurns: context.recentTurns };
  }

  // A key is leased and the model called; on failure again, with another key or model. Tools that it calls are run,
  // and it is asked again.
  const answer = yield* answerTurn(deps, call, {
    ...{ inputs, context, builtIn, tools },
    save: (record) => saveOpenTurn(deps, call, inputs, record),
  });

  // The turn is durable before `done` is yielded.
  const reply = await storeTurn(deps, call, { inputs, context, answer });
  yield { type: 'done', reply };
}
