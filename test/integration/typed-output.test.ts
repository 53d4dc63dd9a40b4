import {
  type ChatStreamEvent,
  InvalidInputError,
  type JsonValue,
  MultimodalChat,
  type MultimodalChatOptions,
  OutputError,
  tool,
} from 'multimodal-chat';
import { createHandler } from 'multimodal-chat/http';
import { FakeChatModel, type GeminiEmulator, makeFailure } from 'multimodal-chat/testing';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { callPart } from '../../src/testing/gemini-emulator/answer/answer-parts.js';
import { createStarter } from '../support/emulated-gemini.js';

const Order = z.object({ id: z.int(), items: z.array(z.string()), note: z.string().optional() });
const order = { id: 7, items: ['lamp', 'book'] };
const fitting = JSON.stringify(order);

type Script = ConstructorParameters<typeof FakeChatModel>[0];

function chatOf(script: Script, options: MultimodalChatOptions = {}, jsonSchema: boolean | 'alone' = true) {
  const model = new FakeChatModel(script, { capabilities: { jsonSchema, tools: true, builtIn: ['search'] } });
  const chat = new MultimodalChat({ model, memory: ':memory:', retry: { baseDelayMs: 1 }, ...options });
  onTestFinished(() => chat.close());
  return { chat, model };
}

const eventsOf = async (stream: AsyncIterable<ChatStreamEvent>) => {
  const events: ChatStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
};
const objectsOf = (events: readonly ChatStreamEvent[]) =>
  events.flatMap((event) => (event.type === 'object' ? [event.object] : []));
const typesOf = (events: readonly ChatStreamEvent[]) => events.map(({ type }) => type);
const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('`output` of a call', () => {
  it('gives the checked and transformed value, and leaves the text as it is', async () => {
    const output = Order.transform(({ id, items }) => ({ key: `order-${id}`, count: items.length }));
    const { chat, model } = chatOf([fitting]);
    const reply = await chat.send({ sessionId: 's', prompt: 'Which order?', output });
    expect(reply.object).toEqual({ key: 'order-7', count: 2 });
    expect([reply.text, reply.stored]).toEqual([fitting, true]);
    expect(model.calls[0]?.request.generation).toMatchObject({
      responseMimeType: 'application/json',
      responseJsonSchema: { type: 'object', required: ['id', 'items'] },
    });
    expect(model.calls[0]?.request).not.toHaveProperty('output');
  });

  it.each<[string, unknown, JsonValue]>([
    ['a list', z.array(z.number()), [1, 2]],
    ['one of some words', z.enum(['yes', 'no']), 'no'],
    ['a number', z.number(), 4.5],
    ['a JSON schema, which is not checked', { type: 'object' }, { anything: null }],
  ])('may be %s', async (_, output, value) => {
    const { chat } = chatOf([JSON.stringify(value)]);
    expect((await chat.send({ prompt: 'Which?', output: output as never })).object).toEqual(value);
  });

  it('takes JSON from the only block of code of an answer', async () => {
    for (const text of [`\`\`\`json\n${fitting}\n\`\`\``, `\n\`\`\`\n${fitting}\n\`\`\`\n`]) {
      const { chat, model } = chatOf([text]);
      expect((await chat.send({ prompt: 'Which?', output: Order })).object).toEqual(order);
      expect(model.calls).toHaveLength(1);
    }
  });

  it('gives no object without it', async () => {
    const { chat, model } = chatOf([fitting]);
    const events = await eventsOf(chat.stream({ prompt: 'Which?' }));
    expect(objectsOf(events)).toEqual([]);
    expect(events.at(-1)).not.toHaveProperty('reply.object');
    expect(model.calls[0]?.request.generation).toEqual({});
  });

  it.each<[string, object, RegExp]>([
    [
      'with a format of the caller',
      { generation: { responseMimeType: 'text/plain' } },
      /does not go together/,
    ],
    ['that is no schema', { output: 3 }, /must be a schema/],
    ['that has no JSON schema', { output: z.custom(() => true) }, /no form as JSON schema/],
    [
      'of a library without JSON schemas',
      { output: { '~standard': { validate: () => ({ value: 1 }) } } },
      /gives no JSON schema/,
    ],
    ['of a model that does not write', { generation: { responseModalities: ['audio'] } }, /has no text/],
  ])('%s is refused before a call', async (_, given, sentence) => {
    const { chat, model } = chatOf([fitting]);
    const error = await errorOf(chat.send({ prompt: 'Which?', output: Order, ...given } as never));
    expect(InvalidInputError.isInstance(error) && error.message).toMatch(sentence);
    expect(model.calls).toEqual([]);
  });
});

describe('the object as it comes', () => {
  const pieces = ['{"id": 7, "it', 'ems": ["lamp", "bo', 'ok"]', '}'];

  it('grows with the text', async () => {
    const { chat } = chatOf([{ text: pieces }]);
    const events = await eventsOf(chat.stream({ prompt: 'Which?', output: Order }));
    expect(objectsOf(events)).toEqual([{ id: 7 }, { id: 7, items: ['lamp', 'bo'] }, order]);
    expect(events.at(-1)).toMatchObject({ type: 'done', reply: { object: order } });
  });

  it('begins again after a restart', async () => {
    const failure = makeFailure('network');
    const { chat } = chatOf([{ text: ['{"id": 1, "items": ["wro'], failure }, { text: pieces }]);
    const events = await eventsOf(chat.stream({ prompt: 'Which?', output: Order }));
    const at = typesOf(events).indexOf('restart');
    expect(at).toBeGreaterThan(0);
    expect(objectsOf(events.slice(0, at))).toEqual([{ id: 1, items: ['wro'] }]);
    expect(objectsOf(events.slice(at)).at(0)).toEqual({ id: 7 });
    expect(objectsOf(events.slice(at)).at(-1)).toEqual(order);
  });

  it('is looked at seldom in a long answer', async () => {
    const items = Array.from({ length: 20_000 }, (_, at) => `item ${at}`);
    const text = JSON.stringify({ id: 7, items });
    const chunks = Array.from({ length: Math.ceil(text.length / 20) }, (_, at) =>
      text.slice(at * 20, at * 20 + 20),
    );
    const { chat } = chatOf([{ text: chunks }]);
    const objects = objectsOf(await eventsOf(chat.stream({ prompt: 'Which?', output: Order })));
    expect(objects.at(-1)).toEqual({ id: 7, items });
    expect(objects.length).toBeLessThan(160);
  });

  it('is over `/infer` too', async () => {
    const { chat } = chatOf([{ text: pieces }, fitting]);
    const handler = createHandler(chat, { prepare: () => ({ output: Order }) });
    const ask = (accept: string) =>
      handler(
        new Request('http://localhost/infer', {
          method: 'POST',
          body: JSON.stringify({ prompt: 'Which?' }),
          headers: { 'content-type': 'application/json', accept },
        }),
      );
    const events = await (await ask('text/event-stream')).text();
    expect(events).toContain('event: object\ndata: {"object":{"id":7}}\n\n');
    expect(events).toContain('"object":{"id":7,"items":["lamp","book"]}');
    expect(await (await ask('application/json')).json()).toMatchObject({ object: order });
  });
});

describe('an answer that does not fit', () => {
  it.each<[string, string]>([
    ['is not JSON', 'The order is number 7.'],
    ['is half of it', fitting.slice(0, 12)],
    ['is something else', '{"id": "seven", "items": []}'],
    ['has words around it', `Here it is: ${fitting}`],
  ])('is asked for once more with what is wrong: %s', async (_, text) => {
    const { chat, model } = chatOf([text, fitting]);
    const retries: unknown[] = [];
    chat.on('retry', ({ failure }) => retries.push(failure.reason));
    const events = await eventsOf(chat.stream({ sessionId: 's', prompt: 'Which?', output: Order }));
    const done = events.at(-1);
    expect(done).toMatchObject({ type: 'done', reply: { object: order, text: fitting } });
    if (done?.type !== 'done') throw new Error('The answer has no end.');
    expect(done.reply.attempts).toHaveLength(2);
    expect(done.reply.usage?.outputTokens).toBe(Math.ceil(text.length / 4) + Math.ceil(fitting.length / 4));
    expect(retries).toEqual(['OUTPUT']);
    expect(events.find(({ type }) => type === 'restart')).toMatchObject({ failure: { reason: 'OUTPUT' } });
    const repair = model.calls[1]?.request.messages ?? [];
    expect(repair.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(JSON.stringify(repair.at(-1))).toMatch(/does not fit: .+\. Write it again/);
    expect((await chat.history({ sessionId: 's' })).map(({ reply }) => reply)).toEqual([fitting]);
  });

  it('ends with an error that says what is wrong, after one more call', async () => {
    const { chat, model } = chatOf(['{"id": 1}', '{"id": 2}', fitting]);
    const error = await errorOf(chat.send({ sessionId: 's', prompt: 'Which?', output: Order }));
    if (!OutputError.isInstance(error)) throw error;
    expect([error.code, error.text]).toEqual(['OUTPUT', '{"id": 2}']);
    expect(error.issues).toMatch(/^items: /);
    expect(error.message).toContain(error.issues);
    expect(model.calls).toHaveLength(2);
    expect(await chat.history({ sessionId: 's' })).toEqual([]);
  });

  it('is one that the schema of the app cannot take', async () => {
    const output = Order.transform(() => {
      throw new Error('no such table');
    });
    const { chat } = chatOf([fitting, fitting]);
    const error = await errorOf(chat.send({ prompt: 'Which?', output }));
    expect(OutputError.isInstance(error) && error.issues).toBe('the schema failed on it: no such table');
  });

  it('is not asked for again if its length was the reason', async () => {
    const { chat, model } = chatOf([{ text: fitting.slice(0, 12), finishReason: 'max-tokens' }, fitting]);
    const error = await errorOf(chat.send({ prompt: 'Which?', output: Order }));
    expect(OutputError.isInstance(error) && error.message).toMatch(/cut off.*maxOutputTokens/);
    expect(model.calls).toHaveLength(1);
  });

  it('is not asked for again if the policy says so', async () => {
    const { chat, model } = chatOf(['No.', fitting], { retry: { next: () => undefined } });
    expect(OutputError.isInstance(await errorOf(chat.send({ prompt: 'Which?', output: Order })))).toBe(true);
    expect(model.calls).toHaveLength(1);
  });

  it('is cancelled like any other', async () => {
    const { chat, model } = chatOf(['No.', { text: '{"id":', hangs: true }]);
    const stream = chat.stream({ prompt: 'Which?', output: Order });
    for await (const event of stream) if (event.type === 'text' && model.calls.length > 1) break;
    expect(model.calls.map(({ cancelled }) => cancelled)).toEqual([false, true]);
  });
});

describe('`output` with what else a call may have', () => {
  const runs: unknown[] = [];
  const find = tool({
    name: 'find',
    description: 'Finds an order.',
    input: z.object({ id: z.number() }),
    execute: ({ id }) => {
      runs.push(id);
      return { id, items: order.items };
    },
  });
  const gate = tool({ name: 'gate', description: 'Asks first.', needsApproval: true, execute: () => 'open' });
  const callOf = (name: string, input: object) => ({ callId: `call-${name}`, name, input: input as never });
  afterEach(() => runs.splice(0));

  it('is the last of several steps', async () => {
    const { chat, model } = chatOf(
      [{ text: 'Let me look.', toolCalls: [callOf('find', { id: 7 })] }, 'Number 7.', fitting],
      { tools: [find] },
    );
    const events = await eventsOf(chat.stream({ prompt: 'Which?', output: Order }));
    expect(events.at(-1)).toMatchObject({ reply: { object: order, text: `Let me look.\n\n${fitting}` } });
    expect(runs).toEqual([7]);
    expect(model.calls[2]?.request).toMatchObject({ toolChoice: 'none', tools: [{ name: 'find' }] });
    // What the steps before it gave is sent again after the restart.
    const after = events.slice(typesOf(events).indexOf('restart'));
    expect(typesOf(after)).toContain('tool-result');
    expect(objectsOf(after).at(-1)).toEqual(order);
  });

  it('waits for a decision', async () => {
    const { chat } = chatOf([{ toolCalls: [callOf('gate', {})] }, fitting], { tools: [gate] });
    const waiting = await chat.send({ sessionId: 's', prompt: 'Which?', output: Order });
    expect(waiting.pending).toHaveLength(1);
    expect(() => waiting.object).toThrow(/wait for a decision/);
    expect(JSON.parse(JSON.stringify(waiting))).not.toHaveProperty('object');
    const { turnId } = waiting;
    const approvals = { 'call-gate': true };
    const reply = await chat.resume({ sessionId: 's', turnId, approvals, output: Order }).reply;
    expect(reply.object).toEqual(order);
  });

  it('leaves a search on, and keeps its sources through a repair', async () => {
    const source = { kind: 'web', url: 'https://example.com/', spans: [{ start: 0, end: 5 }] } as const;
    const { chat, model } = chatOf([{ text: 'Seven.', sources: [source] }, fitting]);
    const events = await eventsOf(
      chat.stream({
        prompt: 'Which?',
        output: Order,
        builtIn: { search: true },
        systemInstruction: 'Be kind.',
      }),
    );
    const done = events.at(-1);
    expect(done).toMatchObject({
      reply: { object: order, sources: [{ kind: 'web', url: 'https://example.com/' }] },
    });
    const [first, second] = model.calls.map(({ request }) => request);
    expect(first).toMatchObject({ builtIn: { search: true }, generation: {} });
    expect(first?.systemInstruction).toMatch(/^Be kind\.\n\n.*JSON schema:\n\{.*"items"/s);
    expect(second?.builtIn).toBeUndefined();
    expect(second).toMatchObject({
      systemInstruction: 'Be kind.',
      generation: { responseMimeType: 'application/json' },
    });
    const after = events.slice(typesOf(events).indexOf('restart'));
    expect(typesOf(after)).toContain('source');
  });

  it.each<[boolean | 'alone', boolean, boolean]>([
    [true, true, true],
    ['alone', false, true],
    ['alone', true, false],
    [false, false, false],
  ])(
    'of a model with jsonSchema %j, tools %j: schema in its own field %j',
    async (jsonSchema, hasTools, isNative) => {
      const { chat, model } = chatOf([fitting], hasTools ? { tools: [find] } : {}, jsonSchema);
      expect((await chat.send({ prompt: 'Which?', output: Order })).object).toEqual(order);
      const { generation, systemInstruction = '' } = model.calls[0]?.request ?? { generation: {} };
      expect('responseJsonSchema' in generation).toBe(isNative);
      expect(systemInstruction.includes('JSON schema')).toBe(!isNative);
    },
  );
});

describe('`output` with Gemini', () => {
  const { start, closeAll } = createStarter();
  afterEach(closeAll);
  const geminiOf = (emulator: GeminiEmulator, options: MultimodalChatOptions = {}) => {
    const chat = new MultimodalChat({ keys: ['a-key-1'], baseUrl: emulator.url, memory: false, ...options });
    onTestFinished(() => chat.close());
    return chat;
  };
  const bodyOf = ({ journal }: GeminiEmulator, at: number) =>
    journal[at]?.body as
      | { generationConfig?: { responseJsonSchema?: unknown }; tools?: readonly object[] }
      | undefined;
  const everything = z.object({
    text: z.string().min(3).max(20),
    kind: z.enum(['one', 'other']),
    literal: z.literal('exact'),
    when: z.iso.datetime(),
    amount: z.number().min(2).max(3),
    count: z.int().positive(),
    list: z.array(z.object({ url: z.url() })).min(2),
    pair: z.tuple([z.string(), z.boolean()]),
    either: z.union([z.null(), z.string()]),
    maybe: z.string().nullable(),
  });

  it('is answered by the emulator with a value that fits', async () => {
    const { emulator } = await start();
    const { object } = await geminiOf(emulator).send({ prompt: 'Fill it in.', output: everything });
    expect(everything.parse(object)).toEqual(object);
    expect(emulator.journal).toHaveLength(1);
    expect(bodyOf(emulator, 0)?.generationConfig?.responseJsonSchema).toMatchObject({ type: 'object' });
  });

  it('works with a search, with tools, and with models that take no schema beside tools', async () => {
    const { emulator } = await start();
    const ping = tool({ name: 'ping', description: 'Pings.', execute: () => 'pong' });
    const searched = await geminiOf(emulator).send({
      prompt: 'Look it up.',
      output: Order,
      builtIn: { search: true },
      sessionId: 's',
    });
    expect(Order.parse(searched.object)).toEqual(searched.object);
    expect(searched.sources.length).toBeGreaterThan(0);
    expect(emulator.journal).toHaveLength(2);

    const stepwise = geminiOf(emulator, { tools: [ping] });
    emulator.say({ parts: [callPart('ping', {})] });
    emulator.say(fitting);
    expect((await stepwise.send({ prompt: 'Ping.', output: Order })).object).toEqual(order);

    const before = emulator.journal.length;
    emulator.say(fitting);
    const older = await stepwise.send({ prompt: 'Ping.', output: Order, model: 'gemini-2.5-flash' });
    expect(older.object).toEqual(order);
    expect(bodyOf(emulator, before)?.generationConfig?.responseJsonSchema).toBeUndefined();
  });
});
