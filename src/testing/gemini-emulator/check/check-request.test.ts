import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, errorOf, promptOf } from '../../../../test/support/gemini-wire.js';
import { type GeminiEmulator, startGeminiEmulator } from '../gemini-emulator.js';
import type { WireContent, WireGenerateRequest, WirePart } from '../wire/messages.js';

let emulator: GeminiEmulator;
beforeAll(async () => {
  emulator = await startGeminiEmulator();
});
afterAll(() => emulator.close());

const user = (...parts: readonly WirePart[]): WireContent => ({ role: 'user', parts });
const model = (...parts: readonly WirePart[]): WireContent => ({ role: 'model', parts });
const thoughtSignature = 'skip_thought_signature_validator';
const call = { functionCall: { name: 'find', args: {} }, thoughtSignature };
const response = { functionResponse: { name: 'find', response: { found: true } } };
const picture = { inlineData: { mimeType: 'image/png', data: 'AAAA' } };

const outcomeOf = async (request: WireGenerateRequest, name?: string) => {
  const received = await ask(emulator, request, name === undefined ? {} : { model: name });
  return received.status === 200 ? '200' : errorOf(received);
};

describe('a history', () => {
  const question = user({ text: 'Go' });
  it.each<[string, WireContent[], string | RegExp]>([
    ['is taken with a call and its response', [question, model(call), user(response)], '200'],
    [
      'is taken with code that was run',
      [question, model({ executableCode: { code: '1' } }), question],
      '200',
    ],
    [
      'may not leave a call unanswered',
      [question, model(call), question],
      /^400 .*number of function response parts/,
    ],
    ['may not end with a call', [question, model(call)], /^400 .*number of function response parts/],
    [
      'may not answer half of the calls',
      [question, model(call, { functionCall: { name: 'find' } }), user(response)],
      /^400 .*number of function response parts/,
    ],
    [
      'may not begin with a call',
      [model(call), user(response)],
      /^400 .*function call turn comes immediately/,
    ],
    [
      'may not answer a call that is not there',
      [question, user(response)],
      /^400 .*function response turn comes/,
    ],
    [
      'may not hold steps of Gemini’s own tools',
      [question, model({ toolCall: { id: 'a' } }), question],
      '400 Request contains an invalid argument.',
    ],
    [
      'may not hold an empty message',
      [question, model(), question],
      /^400 .*contents\[1\]\.parts: .* not be empty/,
    ],
    [
      'may not hold a part without data',
      [question, model({ text: 'a' }, { thoughtSignature }), question],
      /^400 .*contents\[1\]\.parts\[1\]\.data: required oneof field/,
    ],
    [
      'may not have another role',
      [{ role: 'assistant', parts: [{ text: 'a' }] }],
      /^400 Please use a valid role/,
    ],
  ])('%s', async (_, contents, expected) => {
    expect(await outcomeOf({ contents })).toMatch(expected);
  });
});

describe('a setting', () => {
  const thinking = (thinkingLevel: string): WireGenerateRequest => ({
    ...promptOf('Hi'),
    generationConfig: { thinkingConfig: { thinkingLevel } },
  });
  const configured = (generationConfig: WireGenerateRequest['generationConfig'] = {}) => ({
    ...promptOf('Hi'),
    generationConfig,
  });
  const detailed: WireGenerateRequest = {
    contents: [user({ text: 'Hi' }, { ...picture, mediaResolution: { level: 'MEDIA_RESOLUTION_LOW' } })],
  };
  it.each<[string, string, WireGenerateRequest, string]>([
    ['a thinking level', 'gemini-3.8-flash', thinking('high'), '200'],
    ['minimal thinking', 'gemini-3.5-flash-lite', thinking('MINIMAL'), '200'],
    ['extra high thinking', 'gemini-4-hydrogen', thinking('XHIGH'), '200'],
    [
      'minimal thinking',
      'gemini-3.8-flash',
      thinking('MINIMAL'),
      '400 Thinking level MINIMAL is not supported for this model.',
    ],
    [
      'a thinking level',
      'gemini-2.5-flash',
      thinking('LOW'),
      '400 Thinking level is not supported for this model.',
    ],
    ['a thinking budget', 'gemini-2.5-flash', configured({ thinkingConfig: { thinkingBudget: 0 } }), '200'],
    [
      'a thinking budget',
      'gemini-4-argon',
      configured({ thinkingConfig: { thinkingBudget: 0 } }),
      '400 Thinking budget is not supported for this model.',
    ],
    ['the resolution of a part', 'gemini-3.8-flash', detailed, '200'],
    [
      'the resolution of a part',
      'gemini-2.5-flash',
      detailed,
      '400 Media resolution is not enabled for models/gemini-2.5-flash',
    ],
    [
      'the resolution of a part',
      'gemma-3-27b-it',
      detailed,
      '400 Media resolution is not enabled for models/gemma-3-27b-it',
    ],
    [
      'a system instruction',
      'gemma-3-27b-it',
      { ...promptOf('Hi'), systemInstruction: user({ text: 'Be kind.' }) },
      '400 Developer instruction is not enabled for models/gemma-3-27b-it',
    ],
    [
      'a built-in tool',
      'gemma-3-27b-it',
      { ...promptOf('Hi'), tools: [{ googleSearch: {} }] },
      '400 Search Grounding is not enabled for models/gemma-3-27b-it',
    ],
    [
      'pictures as an answer',
      'gemini-3.8-flash',
      configured({ responseModalities: ['TEXT', 'IMAGE'] }),
      '400 Model does not support the requested response modalities: text,image',
    ],
    ['pictures as an answer', 'gemini-3.1-flash-image', configured({ responseModalities: ['IMAGE'] }), '200'],
  ])('%s of %s is answered as Gemini does', async (_, name, request, expected) => {
    expect(await outcomeOf(request, name)).toBe(expected);
  });

  it('of a model that only the emulator knows is always taken', async () => {
    const own = await startGeminiEmulator({ models: ['my-model'] });
    const request = { ...thinking('HIGH'), ...detailed, tools: [{ googleSearch: {} }] };
    expect((await ask(own, request, { model: 'my-model' })).status).toBe(200);
    await own.close();
  });

  it('is checked against the model that an alias stands for', async () => {
    const aliases = { 'gemini-flash-latest': 'gemini-2.5-flash' };
    const old = await startGeminiEmulator({ aliases });
    const options = { model: 'gemini-flash-latest' };
    expect((await ask(old, thinking('LOW'), options)).status).toBe(400);
    expect((await ask(old, promptOf('Hi'), options)).text).toContain('"modelVersion":"gemini-2.5-flash"');
    expect((await ask(emulator, thinking('LOW'), options)).status).toBe(200);
    await old.close();
  });
});

describe('declared functions', () => {
  const contents = [user({ text: 'Go' })];
  const empty = { type: 'object', properties: {} };
  const declared = (...functionDeclarations: readonly object[]) => ({
    contents,
    tools: [{ functionDeclarations }],
  });
  it.each<[string, readonly object[], string | RegExp]>([
    ['are taken', [{ name: 'find', parametersJsonSchema: empty }, { name: '_a.b-c:d' }], '200'],
    ['need a name that Gemini takes', [{ name: '2nd' }], /^400 .*Invalid function name/],
    ['may not have a long name', [{ name: 'a'.repeat(65) }], /^400 .*maximum length of 64/],
    ['need different names', [{ name: 'find' }, { name: 'find' }], /^400 .*Duplicate function declaration/],
    [
      'take an object',
      [{ name: 'find', parametersJsonSchema: { type: 'string' } }],
      /^400 .*should be of type OBJECT/,
    ],
    [
      'have one schema',
      [{ name: 'find', parameters: empty, parametersJsonSchema: empty }],
      /^400 .*Only one of parameters/,
    ],
    [
      'have no empty choice',
      [{ name: 'find', parametersJsonSchema: { type: 'object', properties: { a: { enum: ['b', ''] } } } }],
      /^400 .*enum: cannot be empty/,
    ],
  ])('%s', async (_, functions, outcome) => {
    expect(await outcomeOf(declared(...functions))).toEqual(
      typeof outcome === 'string' ? outcome : expect.stringMatching(outcome),
    );
  });

  it('do not go together with JSON before Gemini 3', async () => {
    const request = {
      ...declared({ name: 'find' }),
      generationConfig: { responseMimeType: 'application/json' },
    };
    expect(await outcomeOf(request)).toBe('200');
    expect(await outcomeOf(request, 'gemini-2.5-flash')).toMatch(/^400 .*mime type.* is unsupported/);
  });
});

describe('a function that the prompt names', () => {
  it('is called with arguments that fit, unless calls are off', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } };
    const ask = (mode?: string) =>
      fetch(`${emulator.url}/v1beta/models/gemini-3.8-flash:generateContent`, {
        method: 'POST',
        headers: { 'x-goog-api-key': 'a-key', 'content-type': 'application/json' },
        body: JSON.stringify({
          contents: [user({ text: 'Use weather for Oslo.' })],
          tools: [{ functionDeclarations: [{ name: 'weather', parametersJsonSchema: schema }] }],
          ...(mode && { toolConfig: { functionCallingConfig: { mode } } }),
        }),
      }).then((response) => response.text());
    expect(await ask()).toMatch(/"functionCall":\s*\{[^}]*"name":\s*"weather"[^}]*"days":\s*1/s);
    expect(await ask('NONE')).not.toContain('functionCall');
  });
});
