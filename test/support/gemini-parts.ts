import fc from 'fast-check';

const signature = fc.base64String({ minLength: 4, maxLength: 40 });
const text = fc.string({ maxLength: 20 });
const json = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const args = fc.dictionary(fc.string({ maxLength: 8 }), json, { maxKeys: 3 });

/** Fields that are sometimes there. */
const maybe = (fields: Record<string, fc.Arbitrary<unknown>>) => fc.record(fields, { requiredKeys: [] });
const withExtras = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc
    .tuple(fc.record(fields), maybe({ thoughtSignature: signature }))
    .map(([own, extras]): Readonly<Record<string, unknown>> => ({ ...own, ...extras }));

/** Parts of an answer as Gemini streams them, kinds that nobody knows yet among them. */
export const geminiPart: fc.Arbitrary<Readonly<Record<string, unknown>>> = fc.oneof(
  withExtras({ text }),
  withExtras({ text, thought: fc.boolean() }),
  fc.record({ thoughtSignature: signature }),
  fc.record({ text: fc.constant(''), thoughtSignature: signature }),
  withExtras({ functionCall: fc.record({ name: fc.string({ minLength: 1, maxLength: 9 }), args }) }),
  withExtras({ functionCall: maybe({ id: fc.uuid(), name: fc.string({ minLength: 1 }), args }) }),
  withExtras({ inlineData: fc.record({ mimeType: fc.constant('image/png'), data: signature }) }),
  withExtras({ executableCode: fc.record({ language: fc.constant('PYTHON'), code: text }) }),
  withExtras({ codeExecutionResult: fc.record({ outcome: fc.constant('OUTCOME_OK'), output: text }) }),
  withExtras({ hologram: json }),
  withExtras({ text, part: json }),
);
