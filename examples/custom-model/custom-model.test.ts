import {
  GeminiEmbedder,
  GeminiModel,
  keysFromEnv,
  ModelCallError,
  type ModelMessage,
  type ModelRequest,
  type ModelStreamOptions,
  MultimodalChat,
  ScheduledKeyPool,
  tool,
} from 'multimodal-chat';
import {
  type ChatModelScenario,
  chatModelContract,
  type ExtraScenario,
  startGeminiEmulator,
} from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  answers,
  type Behavior,
  breaksOff,
  calls,
  endsWithoutFinish,
  hangs,
  refuses,
  startFakeOpenAiServer,
  stopsFor,
  thinks,
} from './fake-open-ai-server.js';
import { OpenAiCompatibleModel, type OpenAiCompatibleModelOptions } from './open-ai-compatible-model.js';

const apiKey = 'sk-a-key-that-appears-nowhere';
const model = 'llama-4';
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Partial<OpenAiCompatibleModelOptions> = {}) {
  const server = await startFakeOpenAiServer();
  closers.push(server.close);
  return {
    server,
    foreign: new OpenAiCompatibleModel({ baseUrl: server.baseUrl, model, apiKey, ...options }),
  };
}

async function startEmulator() {
  const emulator = await startGeminiEmulator();
  closers.push(() => emulator.close());
  return emulator;
}

function open(options: ConstructorParameters<typeof MultimodalChat>[0]) {
  const chat = new MultimodalChat({ memory: ':memory:', ...options });
  closers.push(() => chat.close());
  return chat;
}

type Known = Exclude<ChatModelScenario, ExtraScenario> | 'calls-functions';

const behaviors: Readonly<Record<Known, Behavior>> = {
  answers,
  thinks,
  'is-overloaded': refuses(503),
  'refuses-the-key': refuses(401),
  blocks: stopsFor('content_filter'),
  'ends-without-finish': endsWithoutFinish,
  'breaks-off': breaksOff,
  hangs,
  'calls-functions': calls(
    { name: 'find_order', input: '{"id":"7"}' },
    { name: 'find_order', input: '{"id":"8"}' },
  ),
};

/** Neither does the model read them, nor the server of this test write them. */
const lacks: readonly ExtraScenario[] = ['draws', 'runs-code', 'cites', 'omits-counts', 'continues'];

describe('OpenAiCompatibleModel', () => {
  const contract = chatModelContract(async () => {
    const { foreign, server } = await start();
    return {
      model: foreign,
      apiKey,
      modelName: model,
      lacks,
      prepare: (scenario) => server.behave(behaviors[scenario as keyof typeof behaviors]),
      cancelled: () => vi.waitUntil(() => server.cancelled() === 1).then(() => undefined),
      callCount: () => server.requests.length,
      lastRequest: () => server.requests.at(-1)?.body,
      close: async () => undefined,
    };
  });
  it.each(contract)('$name', ({ run }) => run());

  const errorOf = async (foreign: OpenAiCompatibleModel, messages: readonly ModelMessage[] = []) => {
    const stream = foreign.stream({ model, messages, generation: {} }, {});
    try {
      for await (const _ of stream);
    } catch (error) {
      if (ModelCallError.isInstance(error)) return error.failure;
      throw error;
    }
    return undefined;
  };

  it.each<[string, Behavior, object]>([
    ['401', refuses(401), { kind: 'auth', scope: 'key', status: 401 }],
    ['404', refuses(404), { kind: 'model-unavailable', scope: 'model' }],
    ['413', refuses(413), { kind: 'too-large', scope: 'call' }],
    ['429', refuses(429, {}, { 'retry-after': '1.5' }), { kind: 'rate-limit', retryAfterMs: 1_500 }],
    ['429 without quota', refuses(429, { code: 'insufficient_quota' }), { kind: 'billing' }],
    ['400', refuses(400), { kind: 'invalid-request', scope: 'call' }],
    ['400, too long', refuses(400, { code: 'context_length_exceeded' }), { kind: 'too-large' }],
    ['500', refuses(500), { kind: 'internal', scope: 'model' }],
    ['503', refuses(503), { kind: 'overloaded', scope: 'model' }],
    ['a stream that breaks off', breaksOff, { kind: 'incomplete', scope: 'call' }],
    ['a stream without a finish', endsWithoutFinish, { kind: 'incomplete', scope: 'call' }],
    ['broken JSON', (response) => response.end('data: {"half\n\n'), { kind: 'incomplete' }],
    ['an error in the stream', (r) => r.end('data: {"error":{"message":"x"}}\n'), { kind: 'internal' }],
  ])('classifies %s', async (_, behavior, failure) => {
    const { foreign, server } = await start();
    server.behave(behavior);
    expect(await errorOf(foreign)).toMatchObject(failure);
  });

  it('names a connection that is refused', async () => {
    const { foreign, server } = await start();
    await server.close();
    const failure = await errorOf(foreign);
    expect(failure).toMatchObject({ kind: 'network', message: expect.stringContaining('ECONNREFUSED') });
  });

  it('sends stored tool calls and their results in the form of the service', async () => {
    const { foreign, server } = await start();
    const call = { callId: '7', name: 'look', input: { at: 3 } } as const;
    await errorOf(foreign, [
      { role: 'user', parts: [{ type: 'text', text: 'Look!' }] },
      { role: 'assistant', parts: [{ type: 'tool-call', ...call }] },
      { role: 'tool', parts: [{ type: 'tool-result', callId: '7', name: 'look', output: 'a boat' }] },
    ]);
    expect(server.requests[0]?.body.messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'Look!' }] },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: '7', type: 'function', function: { name: 'look', arguments: '{"at":3}' } }],
      },
      { role: 'tool', tool_call_id: '7', content: '"a boat"' },
    ]);
  });

  it('sends the generation options, and its own provider options over them', async () => {
    const { foreign, server } = await start();
    const chat = open({ model: foreign });
    await chat.send({
      prompt: 'Hi',
      systemInstruction: 'Be brief.',
      generation: { maxOutputTokens: 9, temperature: 0.5, thinkingLevel: 'low', stopSequences: ['END'] },
      providerOptions: { 'openai-compatible': { temperature: 0, seed: 7 }, google: { seed: 8 } },
    });
    const { body, headers } = server.requests[0] ?? {};
    expect(headers?.authorization).toBe(`Bearer ${apiKey}`);
    expect(body).toMatchObject({
      ...{
        model,
        stream: true,
        max_tokens: 9,
        temperature: 0,
        seed: 7,
        stop: ['END'],
      },
      messages: [{ role: 'system' }, { role: 'user' }],
    });
    expect(body.messages[0].content).toContain('Be brief.');
  });
});

describe('MultimodalChat with OpenAiCompatibleModel', () => {
  const picture = () =>
    sharp({ create: { width: 32, height: 32, channels: 3, background: 'red' } })
      .png()
      .toBuffer();

  it('shows it pictures and documents, and remembers the turn', async () => {
    const { foreign, server } = await start();
    const chat = open({ model: foreign });
    server.say('A red boat.');
    const notes = { data: Buffer.from('# Boats'), name: 'notes.md' };
    const reply = await chat.send({ sessionId: 's', prompt: 'What is it?', media: [await picture(), notes] });
    expect(reply).toMatchObject({ text: 'A red boat.', model, usage: { inputTokens: 9, outputTokens: 5 } });
    const sent = JSON.stringify(server.requests[0]?.body.messages);
    expect(sent).toMatch(/"url":"data:image\/\w+;base64,/);
    expect(sent).toContain('# Boats');
    await chat.send({ sessionId: 's', prompt: 'Which color?' });
    const { messages } = server.requests[1]?.body ?? {};
    expect(JSON.stringify(messages)).toContain('What is it?');
    expect(messages).toContainEqual({ role: 'assistant', content: 'A red boat.' });
    expect(JSON.stringify(messages.at(-1))).toContain('Which color?');
  });

  it('calls tools, also after a call that could not be read, and gives typed output', async () => {
    const { foreign, server } = await start();
    const runs: string[] = [];
    const find = tool({
      name: 'find',
      description: 'Finds an order.',
      input: z.object({ id: z.string() }),
      execute: ({ id }) => {
        runs.push(id);
        return `order ${id}`;
      },
    });
    const chat = open({ model: foreign, tools: [find], retry: { baseDelayMs: 1 } });
    server.behave(calls({ name: 'find', input: '{"id": 7' }), calls({ name: 'find', input: '{"id":"7"}' }));
    server.say('{"city":"Oslo"}');
    const output = z.object({ city: z.string() });
    const { attempts, object } = await chat.send({ prompt: 'Where is it?', output, toolChoice: 'required' });
    expect([object, runs]).toEqual([{ city: 'Oslo' }, ['7']]);
    expect(attempts.map(({ failure }) => failure?.reason)).toEqual([
      ...['MALFORMED_FUNCTION_CALL', undefined, undefined],
    ]);
    const [first, second, third] = server.requests.map(({ body }) => body);
    expect(first).toMatchObject({
      tools: [{ type: 'function', function: { name: 'find', parameters: { type: 'object' } } }],
      tool_choice: 'required',
      response_format: { json_schema: { schema: { required: ['city'] } } },
    });
    expect(JSON.stringify(second.messages)).toContain('could not be read');
    expect(third.messages.at(-1)).toEqual({ role: 'tool', tool_call_id: 'call_0', content: '"order 7"' });
  });

  it('waits as long as a 429 asks, then answers', async () => {
    const { foreign, server } = await start();
    server.behave(refuses(429, {}, { 'retry-after': '0.01' }));
    const { attempts, text } = await open({ model: foreign }).send({ prompt: 'Hi' });
    expect(text).toBe('One two three.');
    expect(attempts.map(({ failure }) => failure?.kind)).toEqual(['rate-limit', undefined]);
  });

  it('falls back from it to Gemini', async () => {
    const [{ foreign, server }, emulator] = [await start(), await startEmulator()];
    const gemini = new GeminiModel({ baseUrl: emulator.url });
    const chat = open({ model: foreign, fallbackModels: [gemini], keys: ['a-gemini-key'] });
    server.behave(refuses(404));
    emulator.say('Gemini here.');
    expect(await chat.send({ sessionId: 's', prompt: 'Hi' })).toMatchObject({
      text: 'Gemini here.',
      model: 'gemini-3.8-flash',
    });
    server.say('And I am back.');
    expect(await chat.send({ sessionId: 's', prompt: 'And now?' })).toMatchObject({ model });
    expect(server.requests[1]?.body.messages).toContainEqual({ role: 'assistant', content: 'Gemini here.' });
  });

  it('falls back from Gemini to it', async () => {
    const [{ foreign, server }, emulator] = [await start(), await startEmulator()];
    const chat = open({ baseUrl: emulator.url, fallbackModels: [foreign], keys: ['a-gemini-key'] });
    emulator.inject({ fault: 'model-not-found', times: Number.POSITIVE_INFINITY });
    const reply = await chat.send({ prompt: 'Hi', media: [await picture()] });
    expect(reply).toMatchObject({ text: 'One two three.', model });
    expect(JSON.stringify(server.requests[0]?.body)).toMatch(/data:image/);
    expect(JSON.stringify(server.requests)).not.toMatch(/a-gemini-key|gemini-\d/);
  });

  it('shows it neither the Gemini key nor a name of a Gemini model', async () => {
    const geminiKey = 'AIzaSy-key-of-the-environment';
    vi.stubEnv('GEMINI_API_KEY', geminiKey);
    const [{ server }, emulator] = [await start(), await startEmulator()];
    const given: (ModelRequest | ModelStreamOptions)[] = [];
    class RecordingModel extends OpenAiCompatibleModel {
      override stream(request: ModelRequest, options: ModelStreamOptions) {
        given.push(request, options);
        return super.stream(request, options);
      }
    }
    const keyPool = new ScheduledKeyPool({ keys: keysFromEnv() });
    closers.push(() => keyPool.close());
    const chat = open({
      model: new RecordingModel({ baseUrl: server.baseUrl, model }),
      fallbackModels: [new GeminiModel({ baseUrl: emulator.url })],
      embedder: new GeminiEmbedder({ keyPool, baseUrl: emulator.url }),
      context: { recentTokens: 1, summary: { everyTokens: 1 } },
    });
    const prompts = ['My boat is red.', 'It is called Albatross.', 'What is it called?'];
    for (const prompt of prompts) await chat.send({ sessionId: 's', prompt });
    // One more: the summary of the turns that are no longer sent verbatim.
    await vi.waitUntil(() => server.requests.length > prompts.length);
    expect(new Set(server.requests.map(({ body }) => body.model))).toEqual(new Set([model]));
    expect(emulator.journal.map(({ operation }) => operation)).toContain('embed');
    expect(JSON.stringify([server.requests, given])).not.toMatch(new RegExp(`gemini-|${geminiKey}`));
    expect(given.every((each) => !('apiKey' in each))).toBe(true);
  });
});
