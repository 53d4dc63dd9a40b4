import { InvalidInputError } from '../core/errors.js';
import type { TurnDeps } from './turn-deps.js';
import type { TurnRequest } from './turn-request.js';

/** @throws InvalidInputError if a question has an `output` and the model that is asked does not write text. */
export function checkOutput(
  { models, settings }: Pick<TurnDeps, 'models' | 'settings'>,
  { generation, model: asked, output }: Pick<TurnRequest, 'generation' | 'model' | 'output'>,
): void {
  if (output === undefined) return;
  const { model, name } = models.get(asked ?? models.main.name);
  const { modalities = ['text'] } = model.capabilities(name);
  const { responseModalities = modalities } = { ...settings.generation, ...generation };
  if (responseModalities.includes('text')) return;
  throw new InvalidInputError(
    `The answer of ${name} has no text, so it cannot be what \`output\` asks for. Choose another model or \`responseModalities\`, or leave \`output\` out.`,
  );
}
