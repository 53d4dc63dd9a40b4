import { ConfigurationError } from '../core/errors.js';
import { type AnySchema, type CheckedSchema, readSchema, type SchemaOutput } from '../core/schema.js';
import type { JsonSchema, Tool, ToolContext } from '../core/tool.js';

/** A tool as it is defined. */
export interface ToolDefinition<Schema extends AnySchema> {
  /** At most 64 letters, digits, `_`, `-` and `.`; begins with a letter or `_`. */
  readonly name: string;
  /** Tells the model what the tool does and when to call it. */
  readonly description: string;
  /** Of an object. Default: no input. */
  readonly input?: Schema | undefined;
  /**
   * Runs the tool. What it returns goes to the model as JSON; files in a field `media` are prepared like
   * attachments. An error becomes the result, so that the model can go on. Without it, the app gives the result.
   */
  readonly execute?: ((input: SchemaOutput<Schema>, context: ToolContext) => unknown) | undefined;
  /** Whether a person has to allow the call first: see `chat.resume()`. Default: never. */
  readonly needsApproval?:
    | boolean
    | ((input: SchemaOutput<Schema>, context: ToolContext) => boolean | Promise<boolean>)
    | undefined;
  /** Milliseconds after which the call has failed. Default: `timeouts.toolMs` of the chat. */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether a call may run again if the process ended while it ran. Default `false`: the model is told that it
   * was interrupted.
   */
  readonly repeatable?: boolean | undefined;
}

const namePattern = /^[A-Za-z_][\w.-]{0,63}$/;
const noInput: JsonSchema = { type: 'object', properties: {} };

/**
 * Defines a tool for `tools` of a chat or of a call.
 *
 * @throws ConfigurationError if the name is not valid, or the schema gives no JSON schema of an object.
 * @example
 * ```ts
 * const weather = tool({
 *   name: 'weather',
 *   description: 'Tells the weather in a city.',
 *   input: z.object({ city: z.string() }),
 *   execute: async ({ city }) => ({ city, celsius: 21 }),
 * });
 * const chat = new MultimodalChat({ tools: [weather] });
 * ```
 */
export function tool<const Schema extends AnySchema = JsonSchema>(definition: ToolDefinition<Schema>): Tool {
  const { description, execute, input, name, needsApproval, repeatable, timeoutMs } = definition;
  if (!namePattern.test(name)) {
    throw new ConfigurationError(
      `The name of the tool "${name}" is not valid: take at most 64 letters, digits, "_", "-" and ".", a letter or "_" first.`,
    );
  }
  if (timeoutMs !== undefined && !(timeoutMs > 0))
    throw new ConfigurationError(`\`timeoutMs\` of the tool ${name} must be more than 0.`);
  const { jsonSchema, parse } = readInput(name, input ?? noInput);
  const asks = typeof needsApproval === 'boolean' ? () => needsApproval : needsApproval;
  return {
    name,
    description,
    inputSchema: jsonSchema,
    parse,
    // What `parse` gives is typed by the schema.
    execute: execute as Tool['execute'],
    needsApproval: asks as Tool['needsApproval'],
    repeatable,
    timeoutMs,
  };
}

function readInput(name: string, input: AnySchema): CheckedSchema {
  const schema = readSchema(input);
  if ('fault' in schema) {
    throw new ConfigurationError(`The schema of the tool ${name} ${schema.fault}`, { cause: schema.cause });
  }
  if (schema.jsonSchema.type === 'object') return schema;
  throw new ConfigurationError(
    `The input of the tool ${name} must be an object: put the values into fields.`,
  );
}
