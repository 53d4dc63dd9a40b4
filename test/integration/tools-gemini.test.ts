import { MultimodalChat, type MultimodalChatOptions, tool } from 'multimodal-chat';
import { FakeChatModel, type GeminiEmulator } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { callPart } from '../../src/testing/gemini-emulator/answer/answer-parts.js';
import { createStarter } from '../support/emulated-gemini.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

interface SentPart {
  readonly text?: string;
  readonly thoughtSignature?: string;
  readonly functionCall?: { readonly id?: string; readonly name: string };
  readonly functionResponse?: {
    readonly id?: string;
    readonly name: string;
    readonly response: Readonly<Record<string, unknown>>;
    readonly parts?: readonly { readonly inlineData: { readonly mimeType: string; readonly data: string } }[];
  };
}
interface SentBody {
  readonly contents: readonly { readonly role: string; readonly parts: readonly SentPart[] }[];
  readonly tools?: readonly object[];
  readonly toolConfig?: object;
}

const bodiesOf = (emulator: GeminiEmulator) =>
  emulator.journal.map(({ body }) => body as unknown as SentBody);
const partsOf = (body: SentBody | undefined) => (body?.contents ?? []).flatMap(({ parts }) => parts);

let runs: string[] = [];
const find = tool({
  name: 'find',
  description: 'Finds an order.',
  input: z.object({ id: z.number() }),
  execute: ({ id }) => {
    runs.push(`find ${id}`);
    return `order ${id}`;
  },
});
afterEach(() => {
  runs = [];
});

function chatOf(emulator: GeminiEmulator, options: MultimodalChatOptions = {}): MultimodalChat {
  const chat = new MultimodalChat({
    ...{
      keys: ['a-key-1'],
      baseUrl: emulator.url,
      memory: ':memory:',
      tools: [find],
      retry: { baseDelayMs: 1 },
    },
    ...options,
  });
  onTestFinished(() => chat.close());
  return chat;
}

describe('tools with Gemini', () => {
  it('are declared, and parallel calls go back with their signature and in order', async () => {
    const { emulator } = await start();
    const chat = chatOf(emulator);
    emulator.say({ parts: [callPart('find', { id: 7 }, { id: 'x' }), callPart('find', { id: 8 })] });
    emulator.say('Both are here.');
    const reply = await chat.send({ prompt: 'Where are my orders 7 and 8?' });
    expect([reply.text, reply.attempts.length, runs]).toEqual(['Both are here.', 2, ['find 7', 'find 8']]);
    const [first, second] = bodiesOf(emulator);
    expect(first?.tools).toEqual([
      {
        functionDeclarations: [
          {
            name: 'find',
            description: 'Finds an order.',
            parametersJsonSchema: {
              type: 'object',
              properties: { id: { type: 'number' } },
              required: ['id'],
            },
          },
        ],
      },
    ]);
    const calls = partsOf(second).filter(({ functionCall }) => functionCall);
    expect(calls.map(({ thoughtSignature }) => thoughtSignature !== undefined)).toEqual([true, false]);
    const responses = partsOf(second).flatMap(({ functionResponse }) => functionResponse ?? []);
    expect(responses.map(({ response }) => response)).toEqual([{ output: 'order 7' }, { output: 'order 8' }]);
    expect(responses[0]?.id).toBe('x');
  });

  it('take `toolChoice`, and go beside built-in tools', async () => {
    const { emulator } = await start();
    const chat = chatOf(emulator);
    emulator.say('None.');
    await chat.send({ prompt: 'Hi', toolChoice: 'none', builtIn: { search: true } });
    emulator.say('Some.');
    await chat.send({ prompt: 'Hi', builtIn: { search: true } });
    const [none, some] = bodiesOf(emulator);
    expect([none?.tools?.length, none?.toolConfig]).toEqual([1, { functionCallingConfig: { mode: 'NONE' } }]);
    expect([some?.tools?.length, some?.toolConfig]).toEqual([2, { includeServerSideToolInvocations: true }]);
  });

  it('give pictures inside of the result', async () => {
    const { emulator } = await start();
    const picture = await sharp({ create: { width: 60, height: 40, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const show = tool({
      name: 'show',
      description: 'Shows the label.',
      execute: () => ({ media: [{ data: picture, name: 'label.png' }] }),
    });
    const chat = chatOf(emulator, { tools: [show] });
    emulator.say({ parts: [callPart('show', {})] });
    emulator.say('A red label.');
    await chat.send({ prompt: 'Show me the label.' });
    const [response] = partsOf(bodiesOf(emulator)[1]).flatMap(
      ({ functionResponse }) => functionResponse ?? [],
    );
    expect(response?.response).toEqual({ output: {}, media: ['[label.png]'] });
    expect(response?.parts?.map(({ inlineData }) => inlineData.mimeType)).toEqual(['image/jpeg']);
  });

  it('go on with another project when it refuses the signature, without running again', async () => {
    const { emulator } = await start({
      signatures: 'project',
      projects: [
        { id: 'alpha', keys: ['key-alpha'], limits: { rpm: 1 } },
        { id: 'beta', keys: ['key-beta'] },
      ],
    });
    const chat = chatOf(emulator, {
      keys: [
        { key: 'key-alpha', project: 'alpha' },
        { key: 'key-beta', project: 'beta' },
      ],
      limits: [{ project: 'alpha', rpm: 1 }],
    });
    const projects = new Set<string>();
    chat.on('span-end', (span) => span.kind === 'lease' && projects.add(String(span.project)));
    for (let turn = 1; turn <= 3; turn += 1) {
      emulator.say({ parts: [callPart('find', { id: turn })] });
      emulator.say(`Here is order ${turn}.`);
      const { text } = await chat.send({ sessionId: 's', prompt: `Where is order ${turn}?` });
      expect(text).toBe(`Here is order ${turn}.`);
    }
    expect(runs).toEqual(['find 1', 'find 2', 'find 3']);
    expect([...projects].sort()).toEqual(['alpha', 'beta']);
  });

  it('go on with a model of another provider in the middle of a turn, and back', async () => {
    const { emulator } = await start();
    const other = new FakeChatModel(
      [{ toolCalls: [{ callId: 'o', name: 'find', input: { id: 2 } }] }, 'Found by another.'],
      {
        provider: 'other',
        capabilities: { tools: true },
      },
    );
    const chat = chatOf(emulator, { fallbackModels: [other], retry: { maxAttempts: 1, baseDelayMs: 1 } });
    emulator.say({ parts: [callPart('find', { id: 1 })] });
    const stream = chat.stream({ sessionId: 's', prompt: 'Where are they?' });
    for await (const event of stream) {
      if (event.type === 'tool-result') emulator.inject({ fault: 'overloaded', times: 2 });
    }
    const { text, toolResults } = await stream.reply;
    expect([text, toolResults.length, runs]).toEqual(['Found by another.', 2, ['find 1', 'find 2']]);
    expect(JSON.stringify(other.calls[0]?.request.messages)).not.toContain('thoughtSignature');

    await emulator.clearFaults();
    emulator.say('Back again.');
    expect((await chat.send({ sessionId: 's', prompt: 'Thanks.' })).text).toBe('Back again.');
  });

  it('stay in one project as long as it can serve at once', async () => {
    const { emulator } = await start();
    const keys = ['alpha', 'beta', 'gamma'].map((project) => ({ key: `key-${project}`, project }));
    const chat = chatOf(emulator, { keys });
    const projects: string[] = [];
    chat.on('span-end', (span) => span.kind === 'lease' && projects.push(String(span.project)));
    for (let turn = 0; turn < 3; turn += 1) {
      for (let id = 1; id <= 4; id += 1) emulator.say({ parts: [callPart('find', { id })] });
      emulator.say('Here they are.');
      await chat.send({ prompt: 'Where are my orders?' });
      const ofTurn = projects.splice(0);
      expect(ofTurn).toEqual(Array(5).fill(ofTurn[0]));
    }
  });

  it('are called again when the model garbles a call, which it is told', async () => {
    const { emulator } = await start();
    const chat = chatOf(emulator);
    emulator.say({ parts: [], candidate: { finishReason: 'MALFORMED_FUNCTION_CALL' } });
    emulator.say({ parts: [callPart('find', { id: 7 })] });
    emulator.say('Here it is.');
    const { attempts, text } = await chat.send({
      prompt: 'Where is order 7?',
      systemInstruction: 'Be kind.',
    });
    expect([text, attempts.map(({ failure }) => failure?.reason), runs]).toEqual([
      'Here it is.',
      ['MALFORMED_FUNCTION_CALL', undefined, undefined],
      ['find 7'],
    ]);
    expect(new Set(attempts.map(({ model }) => model)).size).toBe(1);
    const told = emulator.journal.map(({ systemInstruction }) => systemInstruction?.split('\n\n'));
    expect(told).toEqual([
      ['Be kind.'],
      ['Be kind.', expect.stringContaining('could not be read')],
      ['Be kind.'],
    ]);
  });
});
