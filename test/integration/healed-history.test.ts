import type { ChatModel, MessagePart, ModelRequest } from 'multimodal-chat';
import { ModelCallError, MultimodalChat } from 'multimodal-chat';
import { FakeKeyPool, InMemoryStore, makeFailure } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';
import { type ScriptedAnswer, scriptedModel } from '../support/scripted-model.js';

const sessionId = 's';
const refused = makeFailure('invalid-request', { status: 400, message: 'Corrupted thought signature.' });
const signed: ScriptedAnswer = {
  says: ['Noted.'],
  finish: { parts: [{ type: 'text', text: 'Noted.', providerMetadata: { acme: { signature: 'c2ln' } } }] },
};
const holdsSignature = (request: ModelRequest) => JSON.stringify(request.messages).includes('signature');
/** Refuses every request that holds a signature. */
const strict = (request: ModelRequest): ScriptedAnswer =>
  holdsSignature(request) ? { failure: refused } : signed;

const openChat = (model: ChatModel, options: object = {}) =>
  new MultimodalChat({
    model,
    memory: new InMemoryStore(),
    mediaArchive: false,
    retry: { baseDelayMs: 1, maxDelayMs: 2 },
    ...options,
  });
const ask = (chat: MultimodalChat, prompt = 'And?') => chat.send({ sessionId, prompt });

describe('a request that is refused for what an earlier answer holds', () => {
  it('is asked once more as plain text, and the next question needs no further call', async () => {
    const model = scriptedModel((request, call) => (call < 3 ? strict(request) : { says: ['Fine.'] }));
    await using chat = openChat(model);
    await ask(chat, 'One');
    const { attempts, text } = await ask(chat, 'Two');
    expect(attempts.map(({ failure }) => failure?.kind)).toEqual(['invalid-request', undefined]);
    expect(text).toBe('Fine.');
    expect(model.requests[2]?.messages.map(({ parts, role }) => [role, parts])).toEqual([
      ['user', [{ type: 'text', text: 'One' }]],
      ['assistant', [{ type: 'text', text: 'Noted.' }]],
      ['user', [{ type: 'text', text: 'Two' }]],
    ]);
    await ask(chat, 'Three');
    expect(model.requests).toHaveLength(4);
    expect(holdsSignature(model.requests[3] as ModelRequest)).toBe(false);
  });

  it('costs at most two calls more in a conversation whose every answer is refused later', async () => {
    const model = scriptedModel(strict);
    await using chat = openChat(model);
    for (let turn = 1; turn <= 10; turn += 1) expect((await ask(chat)).text).toBe('Noted.');
    expect(model.requests).toHaveLength(12);
  });

  it('keeps what the stored turn holds', async () => {
    const model = scriptedModel(strict);
    await using chat = openChat(model);
    await ask(chat);
    await ask(chat);
    const history = await chat.history({ sessionId });
    expect(history.map(({ messages }) => JSON.stringify(messages).includes('signature'))).toEqual([
      true,
      true,
    ]);
  });

  it('costs one more call after a restart', async () => {
    const memory = new InMemoryStore();
    const model = scriptedModel(strict);
    const restarted = async (questions: number) => {
      await using chat = openChat(model, { memory });
      for (let asked = 0; asked < questions; asked += 1) await ask(chat);
    };
    await restarted(2);
    expect(model.requests).toHaveLength(3);
    await restarted(1);
    expect(model.requests).toHaveLength(5);
  });

  it('uses the same lease', async () => {
    const keyPool = new FakeKeyPool();
    const model = scriptedModel(strict, { needsKey: true });
    await using chat = openChat(model, { keyPool });
    await ask(chat);
    await ask(chat);
    expect(model.requests).toHaveLength(3);
    expect(keyPool.leases.map(({ outcome }) => outcome?.ok)).toEqual([true, true]);
  });

  it('fails with the refusal if plain text is refused as well', async () => {
    const keyPool = new FakeKeyPool();
    const model = scriptedModel((_, call) => (call === 1 ? signed : { failure: refused }), {
      needsKey: true,
    });
    await using chat = openChat(model, { keyPool });
    await ask(chat);
    const error = await ask(chat).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ModelCallError);
    expect(error).toMatchObject({ message: refused.message, attempts: [{}, {}] });
    expect(keyPool.leases.map(({ outcome }) => outcome?.ok)).toEqual([true, false]);
  });

  it.each([
    ['the history is plain text', { says: ['Fine.'] }, refused],
    ['the request is too large', signed, makeFailure('too-large')],
    ['the key is refused', signed, makeFailure('invalid-request', { status: 403 })],
  ])('is not asked again if %s', async (_, first, failure) => {
    const model = scriptedModel((__, call) => (call === 1 ? first : { failure }));
    await using chat = openChat(model);
    await ask(chat);
    await expect(ask(chat)).rejects.toBeInstanceOf(ModelCallError);
    expect(model.requests).toHaveLength(2);
  });

  it('is asked as plain text at every later attempt, and remembered once there is an answer', async () => {
    const overloaded = makeFailure('overloaded');
    const model = scriptedModel((request, call) => (call === 3 ? { failure: overloaded } : strict(request)));
    await using chat = openChat(model);
    await ask(chat);
    expect((await ask(chat)).attempts.map(({ failure }) => failure?.kind)).toEqual([
      'invalid-request',
      'overloaded',
      undefined,
    ]);
  });
});

const call = { type: 'tool-call', callId: 'c1', name: 'find', input: { id: 7 } } as const;
const result = { type: 'tool-result', callId: 'c1', name: 'find', output: { found: true } } as const;
const code = { type: 'code', code: 'print("```")', language: 'python' } as const;
const printed = { type: 'code-result', outcome: 'ok', output: '```' } as const;

/** The history that a model gets of a turn with these messages after the prompt. */
async function sentBack(
  messages: readonly { role: 'assistant' | 'tool'; parts: readonly MessagePart[]; model?: string }[],
  answer: (request: ModelRequest, call: number) => ScriptedAnswer = () => ({ says: ['Fine.'] }),
): Promise<readonly unknown[]> {
  const memory = new InMemoryStore();
  await memory.append({
    ...{ tenant: 'default', sessionId, id: 't', createdAt: 1, prompt: 'Q', reply: 'A' },
    messages: [
      { role: 'user', parts: [{ type: 'text', text: 'Q' }] },
      ...messages.map(({ model = 'acme-1', parts, role }) => ({
        ...{ role, parts },
        ...(role === 'assistant' && { origin: { provider: 'acme', model } }),
      })),
    ],
  });
  const model = scriptedModel(answer);
  await using chat = openChat(model, { memory });
  await ask(chat);
  return (model.requests.at(-1)?.messages ?? []).slice(1, -1).map(({ parts, role }) => [role, parts]);
}

describe('what goes back of an earlier turn', () => {
  it('is no thought, no source, no call without its result and no result without its call', async () => {
    const other = { ...call, callId: 'c2' };
    const text = { type: 'text', text: 'A' } as const;
    expect(
      await sentBack([
        { role: 'assistant', parts: [{ type: 'reasoning', text: 'Hm.' }, call, other] },
        { role: 'tool', parts: [result, { ...result, callId: 'c3' }, result] },
        { role: 'assistant', parts: [text, { type: 'source', kind: 'web', url: 'https://a.example' }] },
        { role: 'tool', parts: [{ ...result, callId: 'c1' }] },
        { role: 'assistant', parts: [other] },
      ]),
    ).toEqual([
      ['assistant', [call]],
      ['tool', [result]],
      ['assistant', [text]],
    ]);
  });

  it('is code as it came for the model that ran it, and fenced text for another', async () => {
    const parts = [code, printed];
    expect(await sentBack([{ role: 'assistant', parts }])).toEqual([['assistant', parts]]);
    expect(await sentBack([{ role: 'assistant', parts, model: 'acme-2' }])).toEqual([
      [
        'assistant',
        [
          { type: 'text', text: '\n````python\nprint("```")\n````\n' },
          { type: 'text', text: '\n````\n```\n````\n' },
        ],
      ],
    ]);
  });

  it('is text alone once it was refused, tool calls and code included', async () => {
    const messages = [
      { role: 'assistant', parts: [call, code, { type: 'provider', providerMetadata: { acme: {} } }] },
      { role: 'tool', parts: [result] },
    ] as const;
    const refusesFirst = (_: ModelRequest, made: number) =>
      made === 1 ? { failure: refused } : { says: ['Fine.'] };
    expect(await sentBack(messages, refusesFirst)).toEqual([
      [
        'assistant',
        [
          { type: 'text', text: '[tool call: find {"id":7}]\n' },
          { type: 'text', text: '\n````python\nprint("```")\n````\n' },
        ],
      ],
      ['user', [{ type: 'text', text: '[tool result: find {"found":true}]\n' }]],
    ]);
  });
});

describe('the budget of recent turns', () => {
  const budget = { recentTokens: 2_000 };
  const lengthOf = (request: ModelRequest | undefined) => JSON.stringify(request?.messages).length;

  it('holds for thoughts, which are never sent', async () => {
    const thought = 'x'.repeat(12_000);
    const model = scriptedModel(() => ({ says: [{ type: 'thought', text: thought }, 'Fine.'] }));
    await using chat = openChat(model, { context: budget });
    for (let turn = 1; turn <= 10; turn += 1) await ask(chat);
    expect(lengthOf(model.requests.at(-1))).toBeLessThan(4_000);
    expect((await ask(chat)).recentTurns).toBe(10);
  });

  it.each([
    [
      'signatures',
      (metadata: object) => ({ type: 'text', text: 'Fine.', providerMetadata: { acme: metadata } }),
    ],
    [
      'parts that only the provider knows',
      (metadata: object) => ({ type: 'provider', providerMetadata: { acme: metadata } }),
    ],
  ])('counts %s: what does not fit goes back without them', async (_, partWith) => {
    const part = partWith({ data: 'y'.repeat(3_000) }) as MessagePart;
    const model = scriptedModel(() => ({
      says: ['Fine.'],
      finish: { parts: [{ type: 'text', text: 'Fine.' }, part] },
    }));
    await using chat = openChat(model, { context: budget });
    for (let turn = 1; turn <= 10; turn += 1) await ask(chat);
    expect((await ask(chat)).recentTurns).toBe(10);
    const sent = lengthOf(model.requests.at(-1));
    expect(sent).toBeGreaterThan(3_000);
    expect(sent).toBeLessThan(9_500);
  });

  it('holds for a latest turn that version 0.1 stored with its thoughts', async () => {
    const memory = new InMemoryStore();
    const replyParts = [{ text: 'z'.repeat(50_000), thought: true }, { text: 'Fine.' }];
    const turn = { tenant: 'default', sessionId, id: 't', createdAt: 1, prompt: 'Q', reply: 'Fine.' };
    const messages = [
      { role: 'user', parts: [{ type: 'text', text: 'Q' }] },
      {
        role: 'assistant',
        parts: [{ type: 'text', text: 'Fine.' }],
        origin: { provider: 'acme', model: 'acme-1' },
        providerMetadata: { acme: { parts: replyParts } },
      },
    ] as const;
    await memory.append({ ...turn, messages });
    const model = scriptedModel(() => ({ says: ['Fine.'] }));
    await using chat = openChat(model, { memory, context: budget });
    expect((await ask(chat)).recentTurns).toBe(1);
    expect(lengthOf(model.requests[0])).toBeLessThan(1_000);
  });
});
