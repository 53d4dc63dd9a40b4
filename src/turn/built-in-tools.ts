import { InvalidInputError } from '../core/errors.js';
import type { BuiltInTools } from '../model/chat-model.js';
import { hasTool } from './generate/fit-request.js';
import type { TurnDeps } from './turn-deps.js';
import type { TurnRequest } from './turn-request.js';

/**
 * The built-in tools that are on for a question; undefined if there are none.
 *
 * @throws InvalidInputError if the model that is asked does not have one of them.
 */
export function builtInTools(
  { models, settings }: Pick<TurnDeps, 'models' | 'settings'>,
  request: Pick<TurnRequest, 'builtIn' | 'model'>,
): BuiltInTools | undefined {
  const wanted = Object.entries({ ...settings.builtIn, ...request.builtIn }).filter(([, value]) => value);
  if (wanted.length === 0) return undefined;
  const { model, name } = models.get(request.model ?? models.main.name);
  const capabilities = model.capabilities(name);
  const lacking = wanted.find(([tool]) => !hasTool(capabilities, tool));
  if (lacking === undefined) return Object.fromEntries(wanted);
  throw new InvalidInputError(
    `The model ${name} does not have the built-in tool \`${lacking[0]}\`. Choose another model, or turn it off in \`builtIn\`.`,
  );
}
