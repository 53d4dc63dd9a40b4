import { InvalidInputError } from '../../core/errors.js';
import type { Tool, ToolChoice, ToolDeclaration } from '../../core/tool.js';
import type { TurnDeps } from '../turn-deps.js';
import type { TurnRequest } from '../turn-request.js';

/** The tools of one question. */
export interface ToolSet {
  readonly byName: ReadonlyMap<string, Tool>;
  readonly declarations: readonly ToolDeclaration[];
  readonly choice: ToolChoice;
  readonly maxSteps: number;
}

/**
 * The tools that are on for a question; undefined if there are none.
 *
 * @throws InvalidInputError if the model that is asked cannot call tools, or the tool to be called is none of them.
 */
export function toolSetOf(
  { models, settings }: Pick<TurnDeps, 'models' | 'settings'>,
  request: TurnRequest,
): ToolSet | undefined {
  const tools = request.tools ?? settings.tools;
  const choice = request.toolChoice ?? settings.toolChoice ?? 'auto';
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  if (typeof choice === 'object' && !byName.has(choice.name)) {
    throw new InvalidInputError(`\`toolChoice\` names the tool ${choice.name}, which is none of \`tools\`.`);
  }
  if (tools.length === 0) return undefined;
  const { model, name } = models.get(request.model ?? models.main.name);
  if (model.capabilities(name).tools !== true) {
    throw new InvalidInputError(
      `The model ${name} cannot call tools. Choose another model, or pass \`tools: []\` with the call.`,
    );
  }
  const declarations = tools.map(({ description, inputSchema, name }) => ({
    name,
    description,
    inputSchema,
  }));
  return { byName, declarations, choice, maxSteps: request.maxSteps ?? settings.maxSteps };
}
