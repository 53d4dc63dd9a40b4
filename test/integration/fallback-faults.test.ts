import { InvalidInputError, KeyPoolExhaustedError, ModelCallError, MultimodalChat } from 'multimodal-chat';
import { FakeKeyPool, makeFailure } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';
import { type ScriptedModel, type ScriptedModelOptions, scriptedModel } from '../support/scripted-model.js';

type Fails = Parameters<typeof makeFailure>;

/** Fails every call like this. */
const failing = (name: string, ...failure: Fails) =>
  scriptedModel(() => ({ failure: makeFailure(...failure) }), { name });
const answering = (options: ScriptedModelOptions = {}) =>
  scriptedModel(() => ({ says: ['Fine.'] }), { name: 'last', ...options });

const openChat = (model: ScriptedModel, fallbackModels: readonly ScriptedModel[], options: object = {}) =>
  new MultimodalChat({
    model,
    fallbackModels,
    memory: false,
    retry: { baseDelayMs: 1, maxDelayMs: 2 },
    ...options,
  });

const errorOf = async (chat: MultimodalChat, request: object = {}) => {
  await using closing = chat;
  return await closing.send({ prompt: 'Hi', ...request }).then(
    () => undefined,
    (error: unknown) => error,
  );
};

describe('a fallback model that refuses the request', () => {
  it.each<Fails>([['invalid-request'], ['too-large'], ['model-unavailable']])(
    'by %s leads to the next fallback',
    async (kind) => {
      const first = failing('first', 'overloaded');
      const second = failing('second', kind);
      await using chat = openChat(first, [second, answering()]);
      const { attempts, model } = await chat.send({ prompt: 'Hi' });
      expect(model).toBe('last');
      expect(attempts.map((each) => each.model)).toEqual(['first', 'first', 'second', 'last']);
    },
  );

  it('does not hide why the first model did not answer', async () => {
    const chat = openChat(failing('first', 'overloaded', { message: 'Overloaded.', status: 503 }), [
      failing('second', 'invalid-request'),
      failing('third', 'too-large'),
    ]);
    const error = await errorOf(chat);
    expect(error).toBeInstanceOf(ModelCallError);
    expect(error).toMatchObject({
      ...{ message: 'Overloaded.', code: 'MODEL_OVERLOADED' },
      failure: { kind: 'overloaded', status: 503 },
      attempts: [{}, {}, { failure: { kind: 'invalid-request' } }, { failure: { kind: 'too-large' } }],
    });
  });

  it('does not hide that the first model does not exist', async () => {
    const chat = openChat(failing('first', 'model-unavailable'), [failing('second', 'overloaded')], {
      retry: { maxAttempts: 1 },
    });
    expect(await errorOf(chat)).toMatchObject({ code: 'MODEL_MODEL_UNAVAILABLE' });
  });

  it('does not hide that there was no key for the first model', async () => {
    const exhausted = new FakeKeyPool([]);
    const model = scriptedModel(() => ({}), { name: 'first', needsKey: true });
    const chat = openChat(model, [failing('second', 'invalid-request')], { keyPool: exhausted });
    expect(await errorOf(chat)).toBeInstanceOf(KeyPoolExhaustedError);
  });

  it('is not asked if the first model refuses it', async () => {
    for (const kind of ['invalid-request', 'too-large'] as const) {
      const fallback = answering();
      expect(await errorOf(openChat(failing('first', kind), [fallback]))).toMatchObject({
        failure: { kind },
      });
      expect(fallback.requests).toHaveLength(0);
    }
  });
});

describe('settings that a fallback model does not have', () => {
  const generation = {
    thinkingLevel: 'high',
    thinkingBudget: 100,
    responseModalities: ['text', 'image'],
    responseJsonSchema: { type: 'object' },
    maxOutputTokens: 9,
  } as const;
  const builtIn = { search: true, code: true } as const;
  const capable = {
    thinkingLevels: ['high'],
    thinkingBudget: true,
    modalities: ['text', 'image'],
    jsonSchema: true,
    builtIn: ['search', 'code'],
  } as const;

  it.each([
    ['nothing', {}, { maxOutputTokens: 9 }, undefined],
    ['search', { builtIn: ['search'] }, { maxOutputTokens: 9 }, { search: true }],
    ['all', capable, generation, builtIn],
  ] as const)('are left out for it: it has %s', async (_, capabilities, taken, tools) => {
    const overloaded = makeFailure('overloaded');
    const first = scriptedModel(() => ({ failure: overloaded }), { name: 'first', capabilities: capable });
    const fallback = answering({ capabilities });
    await using chat = openChat(first, [fallback], { generation, builtIn });
    await chat.send({ prompt: 'Hi' });
    expect(first.requests[0]).toMatchObject({ generation, builtIn });
    expect(fallback.requests[0]?.generation).toEqual(taken);
    expect(fallback.requests[0]?.builtIn).toEqual(tools);
  });

  it('are an error for the model that is asked, if they are tools', async () => {
    const keyPool = new FakeKeyPool();
    const model = answering({ needsKey: true, capabilities: { builtIn: ['search'] } });
    const error = await errorOf(openChat(model, [], { keyPool, builtIn }));
    expect(error).toBeInstanceOf(InvalidInputError);
    expect(error).toMatchObject({ message: expect.stringMatching(/last .*`code`.*`builtIn`/) });
    expect(keyPool.leases).toHaveLength(0);
    await using chat = openChat(model, [], { keyPool, builtIn });
    await chat.send({ prompt: 'Hi', builtIn: { code: false } });
    expect(model.requests[0]?.builtIn).toEqual({ search: true });
  });
});

describe('what another attempt would meet again', () => {
  const usage = { inputTokens: 9, thoughtTokens: 16_384 };

  it.each<[string, Fails, number]>([
    ['an answer that used up its tokens', ['incomplete', { reason: 'MAX_TOKENS', usage }], 1],
    ['an empty answer', ['incomplete', { reason: 'EMPTY_ANSWER' }], 2],
    ['a limit on the first token', ['timeout', { reason: 'FIRST_TOKEN' }], 1],
    ['a limit on the attempt', ['timeout', { reason: 'TOTAL' }], 1],
    ['silence in the middle', ['timeout', { reason: 'BETWEEN_CHUNKS' }], 2],
    ['a time-out of the service', ['timeout', { status: 504 }], 5],
  ])('is not tried again: %s', async (_, failure, calls) => {
    const model = failing('first', ...failure);
    expect(await errorOf(openChat(model, []))).toBeInstanceOf(ModelCallError);
    expect(model.requests).toHaveLength(calls);
  });

  it('costs one further call if every model answers with nothing', async () => {
    const first = failing('first', 'incomplete', { reason: 'EMPTY_ANSWER' });
    const second = failing('second', 'incomplete', { reason: 'EMPTY_ANSWER' });
    const third = failing('third', 'incomplete', { reason: 'EMPTY_ANSWER' });
    expect(await errorOf(openChat(first, [second, third]))).toBeInstanceOf(ModelCallError);
    expect([first, second, third].map(({ requests }) => requests.length)).toEqual([1, 1, 0]);
  });

  it.each(['EMPTY_ANSWER', 'FILE_NOT_ACCESSIBLE', 'NO_FINISH_REASON'])(
    'is tried again by a fallback model if the first model had another fault: %s',
    async (reason) => {
      const once = makeFailure('incomplete', { reason });
      const fallback = scriptedModel((_, call) => (call === 1 ? { failure: once } : { says: ['Fine.'] }), {
        name: 'second',
      });
      await using chat = openChat(failing('first', 'overloaded'), [fallback]);
      expect((await chat.send({ prompt: 'Hi' })).text).toBe('Fine.');
      expect(fallback.requests).toHaveLength(2);
    },
  );

  it('leads to a fallback after a time limit, but not after too many tokens', async () => {
    await using chat = openChat(failing('first', 'timeout', { reason: 'FIRST_TOKEN' }), [answering()]);
    expect((await chat.send({ prompt: 'Hi' })).attempts).toHaveLength(2);
    const fallback = answering();
    const error = await errorOf(
      openChat(failing('first', 'incomplete', { reason: 'MAX_TOKENS', usage }), [fallback]),
    );
    expect(error).toMatchObject({ failure: { usage }, attempts: [{ failure: { usage } }] });
    expect(fallback.requests).toHaveLength(0);
  });
});
