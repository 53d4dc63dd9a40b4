import { toStandardJsonSchema } from '@valibot/to-json-schema';
import { type } from 'arktype';
import { MultimodalChat, tool } from 'multimodal-chat';
import { FakeChatModel } from 'multimodal-chat/testing';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

const withZod = z.object({ city: z.string(), days: z.number().min(1) });
const withValibot = toStandardJsonSchema(
  v.object({ city: v.string(), days: v.pipe(v.number(), v.minValue(1)) }),
);
const withArktype = type({ city: 'string', days: 'number >= 1' });
const forecast = { city: 'Oslo', days: 3 };
const capabilities = { tools: true, jsonSchema: true };

describe.each([
  ['zod', withZod],
  ['valibot', withValibot],
  ['arktype', withArktype],
] as const)('a schema of %s', (_, schema) => {
  it('types, declares and checks the input of a tool', async () => {
    const inputs: unknown[] = [];
    const ask = tool({
      name: 'forecast',
      description: 'Tells the weather.',
      input: schema,
      execute: (input) => {
        expectTypeOf(input).toEqualTypeOf<{ city: string; days: number }>();
        inputs.push(input);
        return 'sun';
      },
    });
    const call = (callId: string, input: object) => ({ callId, name: 'forecast', input: input as never });
    const script = [{ toolCalls: [call('bad', { city: 'Oslo', days: 0 }), call('good', forecast)] }, 'Sun.'];
    const model = new FakeChatModel(script, { capabilities });
    await using chat = new MultimodalChat({ model, memory: false, tools: [ask] });
    const { toolResults } = await chat.send({ prompt: 'And the weather?' });
    expect(model.calls[0]?.request.tools?.[0]?.inputSchema).toMatchObject({
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'number', minimum: 1 } },
    });
    expect(inputs).toEqual([forecast]);
    expect(toolResults).toMatchObject([
      { callId: 'bad', isError: true },
      { callId: 'good', output: 'sun' },
    ]);
    expect(JSON.stringify(toolResults[0])).toContain('days');
  });

  it('types, declares and checks the object of a reply', async () => {
    const model = new FakeChatModel(['{"city":"Oslo","days":0}', JSON.stringify(forecast)], { capabilities });
    await using chat = new MultimodalChat({ model, memory: false, retry: { baseDelayMs: 1 } });
    const { object } = await chat.send({ prompt: 'And the weather?', output: schema });
    expectTypeOf(object).toEqualTypeOf<{ city: string; days: number }>();
    expect(object).toEqual(forecast);
    const [first, second] = model.calls.map(({ request }) => request);
    expect(first?.generation.responseJsonSchema).toMatchObject({
      type: 'object',
      required: ['city', 'days'],
    });
    expect(JSON.stringify(second?.messages.at(-1))).toContain('days');
  });
});

describe('a schema that gives no JSON schema', () => {
  it('is refused with what to do', async () => {
    const schema = v.object({ city: v.string() });
    expect(() => tool({ name: 'a', description: 'b', input: schema })).toThrow(/toStandardJsonSchema/);
    await using chat = new MultimodalChat({ model: new FakeChatModel(), memory: false });
    await expect(chat.send({ prompt: 'Hi', output: schema })).rejects.toThrow(/toStandardJsonSchema/);
  });
});
