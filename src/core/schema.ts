import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import type { JsonValue } from './message.js';
import type { JsonSchema, ParsedInput } from './tool.js';

/**
 * A schema of zod 4, arktype or any library that gives its JSON schema; or a JSON schema, of which nothing is
 * checked: `z.fromJSONSchema()` makes one that is.
 */
export type AnySchema = StandardSchemaV1 | JsonSchema;

/** A value as its schema types it. */
export type SchemaOutput<Schema> = Schema extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<Schema>
  : JsonValue;

/** A schema as it is told to a model, and the check of what the model makes of it. */
export interface CheckedSchema {
  readonly jsonSchema: JsonSchema;
  readonly parse: (value: JsonValue) => Promise<ParsedInput>;
}

/** Why a schema cannot be told to a model, to follow the name of the schema. */
export interface SchemaFault {
  readonly fault: string;
  readonly cause?: unknown;
}

export function readSchema(schema: AnySchema): CheckedSchema | SchemaFault {
  if (!('~standard' in schema)) {
    const { $schema: _, ...written } = schema as JsonSchema;
    return { jsonSchema: written, parse: async (value) => ({ value }) };
  }
  const standard = schema as StandardSchemaV1;
  const { jsonSchema } = standard['~standard'] as Partial<StandardJSONSchemaV1.Props>;
  if (jsonSchema === undefined) {
    return {
      fault:
        'gives no JSON schema. Update its library, wrap it (for valibot: toStandardJsonSchema of @valibot/to-json-schema), or pass a JSON schema.',
    };
  }
  try {
    const { $schema: _, ...written } = jsonSchema.input({ target: 'draft-2020-12' });
    return { jsonSchema: written, parse: (value) => parse(standard, value) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { fault: `has no form as JSON schema: ${reason}`, cause };
  }
}

async function parse(schema: StandardSchemaV1, value: JsonValue): Promise<ParsedInput> {
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await schema['~standard'].validate(value);
  } catch (error) {
    // Of a check or a conversion that the app wrote.
    return { issues: `the schema failed on it: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (result.issues === undefined) return { value: result.value };
  const issues = result.issues.map(({ message, path = [] }) => {
    const at = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return at === '' ? message : `${at}: ${message}`;
  });
  return { issues: issues.join('; ') };
}
