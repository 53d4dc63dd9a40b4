type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const deepest = 20;

/** A value that is valid against a JSON schema, as far as Gemini takes its keywords. Texts are `text`. */
export function sampleValue(schema: unknown, text: string): unknown {
  return sample(schema, { text, root: schema, depth: 0 });
}

interface Place {
  readonly text: string;
  readonly root: unknown;
  readonly depth: number;
}

function sample(schema: unknown, place: Place): unknown {
  if (!isSchema(schema) || place.depth > deepest) return null;
  const below = { ...place, depth: place.depth + 1 };
  if (typeof schema.$ref === 'string') return sample(resolve(schema.$ref, place.root), below);
  if ('const' in schema) return schema.const;
  const [first] = listOf(schema.enum);
  if (first !== undefined) return first;
  const [choice] = [...listOf(schema.anyOf), ...listOf(schema.oneOf)];
  if (choice !== undefined) return sample(choice, below);
  switch (listOf(schema.type)[0] ?? schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(isSchema(schema.properties) ? schema.properties : {})
          .filter(([name]) => place.depth < deepest / 4 || listOf(schema.required).includes(name))
          .map(([name, property]) => [name, sample(property, below)]),
      );
    case 'array': {
      const fixed = listOf(schema.prefixItems).map((item) => sample(item, below));
      const atLeast = Number(schema.minItems ?? (fixed.length > 0 || place.depth > deepest / 4 ? 0 : 1));
      const further = Array.from({ length: Math.max(0, atLeast - fixed.length) }, () =>
        sample(schema.items, below),
      );
      return [...fixed, ...further];
    }
    case 'string':
      return sampleText(schema, place.text);
    case 'integer':
      return Math.ceil(sampleNumber(schema));
    case 'number':
      return sampleNumber(schema);
    case 'boolean':
      return true;
    default:
      return null;
  }
}

function resolve(reference: string, root: unknown): unknown {
  const names = reference.replace(/^#\/?/, '').split('/').filter(Boolean);
  return names.reduce<unknown>((at, name) => (isSchema(at) ? at[name] : undefined), root);
}

const formats: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00',
  email: 'someone@example.com',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

function sampleText({ format, maxLength, minLength }: Schema, text: string): string {
  const formatted = typeof format === 'string' ? formats[format] : undefined;
  if (formatted !== undefined) return formatted;
  return text
    .padEnd(Number(minLength ?? 0), '.')
    .slice(0, Number(maxLength ?? text.length + Number(minLength ?? 0)));
}

/** 1 if it is within the limits. */
function sampleNumber({ exclusiveMaximum, exclusiveMinimum, maximum, minimum }: Schema): number {
  const least = Number(minimum ?? Number(exclusiveMinimum ?? Number.NEGATIVE_INFINITY) + 1);
  const most = Number(maximum ?? Number(exclusiveMaximum ?? Number.POSITIVE_INFINITY) - 1);
  return Math.max(least, Math.min(1, most));
}
