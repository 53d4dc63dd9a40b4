import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ChatStreamEvent,
  ConfigurationError,
  InvalidInputError,
  ModelCallError,
  type ModelMessage,
  type ModelPart,
  MultimodalChat,
  type MultimodalChatOptions,
  type Tool,
  tool,
} from 'multimodal-chat';
import { FakeChatModel, makeFailure } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { makeClip } from '../support/media-fixtures.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tools-test-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

const weatherCalls: unknown[] = [];
beforeEach(() => weatherCalls.splice(0));

const weather = tool({
  name: 'weather',
  description: 'Tells the weather in a city.',
  input: z.object({ city: z.string() }),
  execute: ({ city }, { callId }) => {
    weatherCalls.push([city, callId]);
    return { city, celsius: 21 };
  },
});

const callOf = (name: string, input: object, callId = `call-${name}`) => ({
  callId,
  name,
  input: input as never,
});

const capabilities = { tools: true };
const modelOf = (...script: ConstructorParameters<typeof FakeChatModel>[0] & object) =>
  new FakeChatModel(script, { capabilities });

function chatOf(
  model: FakeChatModel,
  tools: readonly Tool[],
  options: MultimodalChatOptions = {},
): MultimodalChat {
  const chat = new MultimodalChat({
    model,
    tools,
    dataDir: directory,
    retry: { baseDelayMs: 1 },
    ...options,
  });
  onTestFinished(() => chat.close());
  return chat;
}

const partsOf = (messages: readonly ModelMessage[] | undefined, type: ModelPart['type']) =>
  (messages ?? []).flatMap(({ parts }) => parts.filter((part) => part.type === type));

const textOf = (events: readonly ChatStreamEvent[]) =>
  events.flatMap((event) => (event.type === 'text' ? [event.text] : [])).join('');

/** What a reader has of the answer, which follows what `restart` takes back. */
async function readAll(stream: AsyncIterable<ChatStreamEvent>): Promise<readonly ChatStreamEvent[]> {
  let events: ChatStreamEvent[] = [];
  for await (const event of stream) {
    if (event.type === 'restart') events = [];
    events.push(event);
  }
  return events;
}

describe('tools', () => {
  it('are declared, called and answered, and the turn is stored with them', async () => {
    const model = modelOf(
      { text: 'Let me look.', toolCalls: [callOf('weather', { city: 'Oslo' })] },
      'It is 21 degrees.',
    );
    const chat = chatOf(model, [weather]);
    const events = await readAll(chat.stream({ sessionId: 's', prompt: 'How warm is it in Oslo?' }));
    const done = events.at(-1);
    if (done?.type !== 'done') throw new Error('The answer has no end.');
    const { reply } = done;

    expect(weatherCalls).toEqual([['Oslo', 'call-weather']]);
    expect(reply.text).toBe('Let me look.\n\nIt is 21 degrees.');
    expect(textOf(events)).toBe(reply.text);
    expect(reply.toolCalls).toMatchObject([{ name: 'weather', input: { city: 'Oslo' } }]);
    expect(reply.toolResults).toMatchObject([
      { callId: 'call-weather', output: { city: 'Oslo', celsius: 21 } },
    ]);
    expect([reply.pending, reply.attempts.length]).toEqual([[], 2]);
    expect(events.map(({ type }) => type)).toEqual([
      ...['recall', 'attempt', 'text', 'tool-call', 'tool-result', 'attempt', 'text', 'text', 'done'],
    ]);

    const [first, second] = model.calls.map(({ request }) => request);
    expect(first?.tools).toEqual([
      {
        name: 'weather',
        description: 'Tells the weather in a city.',
        inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    ]);
    expect(second?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool']);
    expect(partsOf(second?.messages, 'tool-result')).toMatchObject([
      { output: { city: 'Oslo', celsius: 21 } },
    ]);

    const [turn] = await chat.session('s').history();
    expect(turn?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
    expect(turn?.reply).toBe(reply.text);

    model.answerNext('Warmer than yesterday.');
    await chat.send({ sessionId: 's', prompt: 'And yesterday?' });
    expect(partsOf(model.calls[2]?.request.messages, 'tool-result')).toHaveLength(1);
  });

  it('run at the same time, and their results have the order of the calls', async () => {
    const order: string[] = [];
    const wait = tool({
      name: 'wait',
      description: 'Waits.',
      input: z.object({ id: z.string(), ms: z.number() }),
      execute: async ({ id, ms }) => {
        order.push(`begin ${id}`);
        await new Promise((resolve) => setTimeout(resolve, ms));
        order.push(`end ${id}`);
        return id;
      },
    });
    const toolCalls = [callOf('wait', { id: 'a', ms: 60 }, 'a'), callOf('wait', { id: 'b', ms: 1 }, 'b')];
    const model = modelOf({ toolCalls }, 'Done.');
    const { toolResults } = await chatOf(model, [wait]).send({ prompt: 'Wait.' });
    expect(order).toEqual(['begin a', 'begin b', 'end b', 'end a']);
    expect(toolResults.map(({ output }) => output)).toEqual(['a', 'b']);
  });

  it.each<[string, Tool, object, RegExp]>([
    [
      'an error of the tool',
      tool({
        name: 'weather',
        description: '',
        execute: () => {
          throw new Error('no such city');
        },
      }),
      {},
      /no such city/,
    ],
    ['input that is not valid', weather, { city: 7 }, /city: .*expected string/],
    [
      'a tool that takes too long',
      tool({ name: 'weather', description: '', timeoutMs: 20, execute: () => new Promise(() => undefined) }),
      {},
      /longer than 0 s/,
    ],
    [
      'output that has no form as JSON',
      tool({
        name: 'weather',
        description: '',
        execute: () => {
          const loop: Record<string, unknown> = {};
          loop.self = loop;
          return loop;
        },
      }),
      {},
      /circular/,
    ],
    [
      'an unknown tool',
      tool({ name: 'other', description: '', execute: () => 1 }),
      {},
      /no tool weather.*other/,
    ],
  ])('tell the model of %s', async (_, given, input, expected) => {
    const model = modelOf({ toolCalls: [callOf('weather', input)] }, 'Sorry.');
    const reply = await chatOf(model, [given]).send({ prompt: 'How warm is it?' });
    expect(reply.text).toBe('Sorry.');
    expect(reply.toolResults).toHaveLength(1);
    expect(reply.toolResults[0]?.isError).toBe(true);
    expect(JSON.stringify(reply.toolResults[0]?.output)).toMatch(expected);
    expect(partsOf(model.calls[1]?.request.messages, 'tool-result')).toMatchObject([{ isError: true }]);
  });

  it('may not be called in the last step', async () => {
    const call = { toolCalls: [callOf('weather', { city: 'Oslo' })] };
    const model = modelOf(call, call, 'Enough.');
    const reply = await chatOf(model, [weather], { maxSteps: 3 }).send({ prompt: 'How warm is it?' });
    expect(model.calls.map(({ request }) => request.toolChoice)).toEqual(['auto', 'auto', 'none']);
    expect(reply.text).toBe('Enough.');
  });

  it('are demanded once', async () => {
    const model = modelOf({ toolCalls: [callOf('weather', { city: 'Oslo' })] }, 'Warm.');
    await chatOf(model, [weather]).send({ prompt: 'How warm is it?', toolChoice: { name: 'weather' } });
    expect(model.calls.map(({ request }) => request.toolChoice)).toEqual([{ name: 'weather' }, 'auto']);
  });

  it('can be narrowed and turned off by a call', async () => {
    const model = modelOf('Hello', 'Hello');
    const chat = chatOf(model, [weather]);
    await chat.send({ prompt: 'Hi', tools: [] });
    await chat.send({ prompt: 'Hi', toolChoice: 'none' });
    expect(model.calls.map(({ request }) => [request.tools?.length, request.toolChoice])).toEqual([
      [undefined, undefined],
      [1, 'none'],
    ]);
  });

  it.each<[string, () => unknown, typeof ConfigurationError, RegExp]>([
    ['a wrong name', () => tool({ name: '1', description: '' }), ConfigurationError, /"1" is not valid/],
    [
      'an input that is no object',
      () => tool({ name: 'a', description: '', input: z.string() }),
      ConfigurationError,
      /must be an object/,
    ],
    [
      'a schema without a form as JSON schema',
      () => tool({ name: 'a', description: '', input: z.object({ at: z.date() }) }),
      ConfigurationError,
      /no form as JSON schema/,
    ],
    [
      'two tools of one name',
      () => new MultimodalChat({ model: modelOf(), memory: false, tools: [weather, weather] }),
      ConfigurationError,
      /tools.*different names/,
    ],
    [
      'what is no tool',
      () => new MultimodalChat({ model: modelOf(), memory: false, tools: [{} as Tool] }),
      ConfigurationError,
      /must be a tool/,
    ],
  ])('refuse %s', (_, make, kind, message) => {
    expect(make).toThrow(kind);
    expect(make).toThrow(message);
  });

  it('are refused for a model that cannot call any, and by the name of one that is not there', async () => {
    const chat = chatOf(new FakeChatModel(), [weather]);
    await expect(chat.send({ prompt: 'Hi' })).rejects.toThrow(/fake-model cannot call tools/);
    await expect(chat.send({ prompt: 'Hi', toolChoice: { name: 'x' } })).rejects.toThrow(/names the tool x/);
  });

  it('stop when the caller leaves', async () => {
    let reason: unknown;
    const slow = tool({
      name: 'slow',
      description: '',
      execute: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            reject(signal.reason);
          });
        }),
    });
    const abort = new AbortController();
    const model = modelOf({ toolCalls: [callOf('slow', {})] });
    const stream = chatOf(model, [slow]).stream({ prompt: 'Go', signal: abort.signal });
    const left = new Error('left');
    setTimeout(() => abort.abort(left), 50);
    await expect(stream.reply).rejects.toBe(left);
    expect(reason).toBe(left);
  });
});

describe('the results of tools', () => {
  it('are not made again when the answer breaks off, which starts again behind them', async () => {
    const model = modelOf(
      { text: 'Let me look.', toolCalls: [callOf('weather', { city: 'Oslo' })] },
      { text: 'It is', failure: makeFailure('overloaded') },
      'It is 21 degrees.',
    );
    const stream = chatOf(model, [weather]).stream({ prompt: 'How warm is it in Oslo?' });
    const events = await readAll(stream);
    expect(weatherCalls).toHaveLength(1);
    expect(textOf(events)).toBe('Let me look.\n\nIt is 21 degrees.');
    expect(events.map(({ type }) => type)).toEqual([
      ...['restart', 'text', 'tool-call', 'tool-result', 'attempt', 'text', 'text', 'done'],
    ]);
    expect((await stream.reply).text).toBe(textOf(events));
  });

  it('are not made again when the same turn is asked again after a failure', async () => {
    const failure = makeFailure('invalid-request');
    const model = modelOf(
      { toolCalls: [callOf('weather', { city: 'Oslo' })] },
      { failure },
      'It is 21 degrees.',
    );
    const chat = chatOf(model, [weather]);
    const request = { sessionId: 's', turnId: 't', prompt: 'How warm is it in Oslo?' };
    await expect(chat.send(request)).rejects.toBeInstanceOf(ModelCallError);
    const events = await readAll(chat.stream(request));
    expect(weatherCalls).toHaveLength(1);
    expect(events.map(({ type }) => type)).toEqual([
      ...['recall', 'tool-call', 'tool-result', 'attempt', 'text', 'done'],
    ]);
    expect(await chat.session('s').history()).toHaveLength(1);
    // Answered, the turn can be made anew.
    model.answerNext({ toolCalls: [callOf('weather', { city: 'Oslo' }, 'again')] }, 'Still 21 degrees.');
    expect((await chat.send(request)).text).toBe('Still 21 degrees.');
    expect(weatherCalls).toHaveLength(2);
  });

  it('of a process that died are told as interrupted, unless the tool can be repeated', async () => {
    const never = () => new Promise(() => undefined);
    const make = (execute: () => unknown) => [
      tool({ name: 'pay', description: '', execute }),
      tool({ name: 'read', description: '', repeatable: true, execute }),
    ];
    const request = { sessionId: 's', turnId: 't', prompt: 'Pay.' };
    const toolCalls = [callOf('pay', {}), callOf('read', {})];
    const dying = chatOf(modelOf({ toolCalls }), make(never));
    const stream = dying.stream(request);
    const reply = stream.reply.catch((error: unknown) => error);
    await expect.poll(async () => (await dying.session('s').history()).length).toBe(1);

    const chat = chatOf(
      modelOf('Done.'),
      make(() => 'ok'),
    );
    const { toolResults } = await chat.send(request);
    expect(toolResults).toMatchObject([
      { name: 'pay', isError: true, output: { error: expect.stringContaining('interrupted') } },
      { name: 'read', output: 'ok' },
    ]);
    stream.cancel();
    await reply;
  });

  it('may hold media, which the model is shown, now and later', async () => {
    const path = join(directory, 'label.png');
    await sharp({ create: { width: 60, height: 40, channels: 3, background: 'red' } })
      .png()
      .toFile(path);
    const find = tool({ name: 'find', description: '', execute: () => ({ id: 7, media: [path] }) });
    const inside = new FakeChatModel([{ toolCalls: [callOf('find', {})] }, 'A label.', 'Red.'], {
      capabilities: { tools: true, toolResultMedia: 'inside' },
    });
    const chat = chatOf(inside, [find]);
    const { toolResults } = await chat.send({ sessionId: 's', prompt: 'Find my order.' });
    expect(toolResults).toMatchObject([{ output: { id: 7 }, media: [{ name: 'label.png', kind: 'image' }] }]);
    const [result] = partsOf(inside.calls[1]?.request.messages, 'tool-result');
    expect(result).toMatchObject({ parts: [{ type: 'text' }, { type: 'data', mimeType: 'image/jpeg' }] });

    await chat.send({ sessionId: 's', prompt: 'Which color has the picture?' });
    expect(partsOf(inside.calls[2]?.request.messages, 'data')).toHaveLength(1);

    const after = modelOf({ toolCalls: [callOf('find', {})] }, 'A label.');
    await chatOf(after, [find]).send({ prompt: 'Find my order.' });
    const messages = after.calls[1]?.request.messages;
    expect(messages?.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'user']);
    expect(partsOf(messages?.slice(3), 'data')).toHaveLength(1);
  });
});

describe('a result that is too long', () => {
  it.each<[string, unknown, RegExp]>([
    ['text', 'ä🍂'.repeat(400_000), /^(?:ä🍂)+ä?\n\[cut off here: the result has 1200000 characters/],
    ['data', { rows: Array.from({ length: 50_000 }, (_, id) => ({ id })) }, /^\{"rows":\[\{"id":0\},/],
  ])('is cut off for the model and for later turns: %s', async (_, output, shown) => {
    const read = tool({ name: 'read', description: '', execute: () => output });
    const model = modelOf({ toolCalls: [callOf('read', {})] }, 'Much.', 'Less.');
    const chat = chatOf(model, [read], { context: { toolResultTokens: 500 } });
    const { toolResults } = await chat.send({ sessionId: 's', prompt: 'Read it.' });
    expect(toolResults[0]?.output).toMatch(shown);
    expect(toolResults[0]?.output).toMatch(/characters\. Ask for less of it\.\]$/);
    await chat.send({ sessionId: 's', prompt: 'And now?' });
    for (const { request } of model.calls) expect(JSON.stringify(request).length).toBeLessThan(6_000);
  });

  it('is also cut off if the app gives it', async () => {
    const locate = tool({ name: 'locate', description: '' });
    const model = modelOf({ toolCalls: [callOf('locate', {})] }, 'There.');
    const chat = chatOf(model, [locate], { context: { toolResultTokens: 100 } });
    const { turnId } = await chat.send({ sessionId: 's', prompt: 'Where?' });
    const results = { 'call-locate': 'x'.repeat(100_000) };
    const { toolResults } = await chat.resume({ sessionId: 's', turnId, results }).reply;
    expect(JSON.stringify(toolResults).length).toBeLessThan(1_000);
  });
});

describe('a check of the app that throws', () => {
  const fails = () => {
    throw new Error('no connection to the directory');
  };
  it.each<[string, Parameters<typeof tool>[0]]>([
    ['the question for approval', { name: 'pay', description: '', needsApproval: fails }],
    ['the schema', { name: 'pay', description: '', input: z.object({ id: z.any().refine(fails) }) }],
  ])('is told to the model, and the tool does not run: %s', async (_, definition) => {
    let runs = 0;
    const execute = () => {
      runs += 1;
    };
    const model = modelOf({ toolCalls: [callOf('pay', { id: 7 })] }, 'I could not pay.');
    const { text, toolResults } = await chatOf(model, [tool({ ...definition, execute })]).send({
      prompt: 'Pay.',
    });
    expect([text, runs]).toEqual(['I could not pay.', 0]);
    expect(toolResults).toMatchObject([
      { isError: true, output: { error: expect.stringContaining('no connection to the directory') } },
    ]);
  });
});

describe('what a tool said', () => {
  const look = tool({
    name: 'look_up',
    description: 'Looks up an order.',
    execute: () => ({ carrier: 'Zephyrhaul', parcels: 3 }),
  });

  it('is recalled by its own words, and quoted', async () => {
    const model = modelOf({ toolCalls: [callOf('look_up', {})] }, 'It is under way.');
    const chat = chatOf(model, [look], { context: { recentTurns: 0 } });
    await chat.send({ sessionId: 's', prompt: 'Where is my order?' });
    for (let turn = 0; turn < 3; turn += 1) await chat.send({ sessionId: 's', prompt: `Small talk ${turn}` });
    const { recalled } = await chat.send({ sessionId: 's', prompt: 'Is Zephyrhaul any good?' });
    expect(recalled.map(({ turn }) => turn.prompt)).toContain('Where is my order?');
    const asked = partsOf(model.calls.at(-1)?.request.messages, 'text').map(
      (part) => 'text' in part && part.text,
    );
    expect(asked.join('\n')).toContain('> Tools gave:\n> look_up: {"carrier":"Zephyrhaul","parcels":3}');
  });

  it('is in the summary of earlier turns', async () => {
    const model = modelOf({ toolCalls: [callOf('look_up', {})] }, 'It is under way.');
    const summary = { everyTokens: 1 };
    const chat = chatOf(model, [look], {
      context: { recentTokens: 1, recentTurns: 1, recallTurns: 0, summary },
    });
    await chat.send({ sessionId: 's', prompt: 'Where is my order?' });
    await chat.send({ sessionId: 's', prompt: 'Thanks.' });
    const texts = () =>
      JSON.stringify(model.calls.map(({ request }) => request.systemInstruction && request.messages));
    await expect.poll(texts).toContain('Zephyrhaul');
  });

  it('is exported, imported and forgotten with its turn', async () => {
    const model = modelOf({ toolCalls: [callOf('look_up', {})] }, 'It is under way.');
    const chat = chatOf(model, [look]);
    const { turnId } = await chat.send({ sessionId: 's', prompt: 'Where is my order?' });
    const lines: string[] = [];
    for await (const line of chat.exportSession({ sessionId: 's' })) lines.push(line);
    await chat.importSession({ sessionId: 'copy' }, lines, { trusted: true });
    await chat.importSession({ sessionId: 'foreign' }, lines);
    const [copy] = await chat.history({ sessionId: 'copy' });
    expect(JSON.stringify(copy?.messages)).toContain('"tool-result"');
    const [foreign] = await chat.history({ sessionId: 'foreign' });
    expect(JSON.stringify(foreign?.messages)).not.toContain('"tool-result"');
    expect(JSON.stringify(foreign?.messages)).toContain('Zephyrhaul');
    expect(await chat.forget({ sessionId: 's', turnId })).toBe(1);
    expect(JSON.stringify(await chat.history({ sessionId: 's' }))).not.toContain('Zephyrhaul');
  });
});

describe('a clip that a tool gives', () => {
  it.each([
    [64_000, 4],
    [2_000, 2],
  ])(
    'is shown with its times, within %i tokens in %i frames, and again after a restart',
    async (mediaTokens, frames) => {
      const path = await makeClip({ path: join(directory, 'harbor.mp4'), seconds: 8 });
      const record = tool({ name: 'record', description: 'Records.', execute: () => ({ media: [path] }) });
      const options = { media: { frames: 4 }, context: { mediaTokens } };
      const today = modelOf({ toolCalls: [callOf('record', {})] }, 'A harbor.');
      const first = chatOf(today, [record], options);
      const { toolResults } = await first.send({ sessionId: 's', prompt: 'Record the harbor.' });
      expect(toolResults[0]?.media).toMatchObject([{ kind: 'video', name: 'harbor.mp4', durationMs: 8000 }]);
      const labels = (model: FakeChatModel, at: number) =>
        partsOf(model.calls[at]?.request.messages, 'text').flatMap((part) =>
          'text' in part ? (/harbor\.mp4, frame at 0:0[\d.]+/.exec(part.text) ?? []) : [],
        );
      expect(labels(today, 1)).toHaveLength(frames);
      expect(partsOf(today.calls[1]?.request.messages, 'data')).toHaveLength(frames);
      await first.close();

      const tomorrow = modelOf('The same harbor.');
      const second = chatOf(tomorrow, [record], options);
      const { reattachedMedia } = await second.send({
        sessionId: 's',
        prompt: 'What was in the clip from the tool?',
      });
      expect(reattachedMedia).toMatchObject([{ kind: 'video', name: 'harbor.mp4' }]);
      expect(labels(tomorrow, 0)).toEqual(labels(today, 1));
    },
  );
});

describe('calls that wait for a decision', () => {
  const cancelled: unknown[] = [];
  beforeEach(() => cancelled.splice(0));
  const cancel = tool({
    name: 'cancel',
    description: 'Cancels an order.',
    input: z.object({ id: z.number() }),
    needsApproval: ({ id }) => id > 5,
    execute: ({ id }) => {
      cancelled.push(id);
      return 'cancelled';
    },
  });
  const locate = tool({ name: 'locate', description: 'Finds out where the user is.' });
  const request = { sessionId: 's', prompt: 'Cancel my orders.' };
  const toolCalls = [
    callOf('cancel', { id: 3 }, 'small'),
    callOf('cancel', { id: 7 }, 'big'),
    callOf('locate', {}, 'where'),
  ];

  async function wait() {
    const model = modelOf({ text: 'One moment.', toolCalls });
    const chat = chatOf(model, [cancel, locate]);
    const reply = await chat.send(request);
    await chat.close();
    return reply;
  }

  it('end the answer, and go on from another process when they are decided', async () => {
    const waiting = await wait();
    expect(waiting.pending).toEqual([
      { callId: 'big', name: 'cancel', input: { id: 7 }, needs: 'approval' },
      { callId: 'where', name: 'locate', input: {}, needs: 'result' },
    ]);
    expect([waiting.text, cancelled]).toEqual(['One moment.', [3]]);

    const model = modelOf('Both are cancelled.');
    const chat = chatOf(model, [cancel, locate]);
    const { turnId } = waiting;
    const half = await chat.resume({ sessionId: 's', turnId, approvals: { big: true } }).reply;
    expect([half.pending.map(({ callId }) => callId), cancelled, model.calls.length]).toEqual([
      ['where'],
      [3, 7],
      0,
    ]);

    const reply = await chat.resume({ sessionId: 's', turnId, results: { where: { city: 'Oslo' } } }).reply;
    expect([reply.pending, reply.text, cancelled]).toEqual([
      [],
      'One moment.\n\nBoth are cancelled.',
      [3, 7],
    ]);
    expect(partsOf(model.calls[0]?.request.messages, 'tool-result')).toMatchObject([
      { callId: 'small', output: 'cancelled' },
      { callId: 'big', output: 'cancelled' },
      { callId: 'where', output: { city: 'Oslo' } },
    ]);
    const turns = await chat.session('s').history();
    expect(turns.map(({ prompt }) => prompt)).toEqual(['Cancel my orders.']);
    await expect(chat.resume({ sessionId: 's', turnId }).reply).rejects.toThrow(/waits for no decision/);
  });

  it('are told to the model when they are not allowed', async () => {
    const { turnId } = await wait();
    const model = modelOf('I left it as it is.');
    const chat = chatOf(model, [cancel, locate]);
    await chat.resume({ sessionId: 's', turnId, approvals: { big: false }, results: { where: 'here' } })
      .reply;
    expect(cancelled).toEqual([3]);
    expect(partsOf(model.calls[0]?.request.messages, 'tool-result')[1]).toMatchObject({
      isError: true,
      output: { error: expect.stringContaining('not allow') },
    });
  });

  it('are over when the conversation has gone on', async () => {
    const { turnId } = await wait();
    const model = modelOf('Which orders?');
    const chat = chatOf(model, [cancel, locate]);
    await chat.send({ sessionId: 's', prompt: 'Never mind.' });
    expect(
      partsOf(model.calls[0]?.request.messages, 'tool-call').map((part) => 'callId' in part && part.callId),
    ).toEqual(['small']);
    await expect(chat.resume({ sessionId: 's', turnId, approvals: { big: true } }).reply).rejects.toThrow(
      InvalidInputError,
    );
    expect(cancelled).toEqual([3]);
  });

  it('refuse decisions about other calls', async () => {
    const { turnId } = await wait();
    const chat = chatOf(modelOf(), [cancel, locate]);
    await expect(chat.resume({ sessionId: 's', turnId, approvals: { another: true } }).reply).rejects.toThrow(
      /no call another. Open are: big, where/,
    );
  });
});
