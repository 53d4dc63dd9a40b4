import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { geminiPart } from '../../../../test/support/gemini-parts.js';
import { ask, chatModel } from '../../../../test/support/model-calls.js';
import { InvalidInputError } from '../../../core/errors.js';
import type { ProviderMetadata } from '../../../core/message.js';
import { toTurn } from '../../../core/turn.js';
import type { ModelMessage, ModelRequest } from '../../chat-model.js';
import { toMessagePart } from '../gemini-parts.js';
import { toGeminiParameters } from './gemini-request.js';

const otherModel = 'gemini-3.5-flash-lite';
const user = (text: string): ModelMessage => ({ role: 'user', parts: [{ type: 'text', text }] });
const answer = (
  parts: readonly Record<string, unknown>[],
  origin = { provider: 'google', model: chatModel },
) => ({ role: 'assistant', parts: parts.map((part) => toMessagePart(part)), origin }) as const;

const contentsFor = (model: string, ...messages: readonly ModelMessage[]) =>
  toGeminiParameters({ model, messages, generation: {} }).contents;
const configFor = (more: Partial<ModelRequest>) => toGeminiParameters(ask('hello', more)).config;

describe('toGeminiParameters', () => {
  /** What is sent back of parts as they came, by the rules in words. */
  const returned = (parts: readonly Record<string, unknown>[]) =>
    parts.flatMap((part) => {
      const { functionCall, inlineData, text, thought, thoughtSignature } = part;
      // The call has no result, the picture comes from the archive.
      if (functionCall || inlineData) return [];
      if (thought === true) return thoughtSignature ? [{ text: '', thought: true, thoughtSignature }] : [];
      const others = Object.keys(part).filter((name) => name !== 'text' && name !== 'thought');
      return text === '' && others.length === 0 ? [] : [part];
    });

  it('sends an answer back to the model that gave it: text and signatures exactly, without thoughts', () => {
    fc.assert(
      fc.property(fc.array(geminiPart, { minLength: 1, maxLength: 5 }), (parts) => {
        const message = JSON.parse(JSON.stringify(answer(parts))) as ModelMessage;
        const expected = returned(parts);
        expect(contentsFor(chatModel, user('one'), message, user('two'))).toEqual([
          { role: 'user', parts: [{ text: 'one' }] },
          ...(expected.length > 0 ? [{ role: 'model', parts: expected }] : []),
          { role: 'user', parts: [{ text: 'two' }] },
        ]);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['another model', { provider: 'google', model: otherModel }],
    ['another provider', { provider: 'acme', model: chatModel }],
  ])('sends only text of the answers of %s, code included, and leaves empty answers out', (_, origin) => {
    fc.assert(
      fc.property(fc.array(geminiPart, { maxLength: 5 }), (parts) => {
        const contents = contentsFor(chatModel, user('one'), answer(parts, origin), user('two'));
        const sent = contents.slice(1, -1).flatMap((content) => content.parts ?? []);
        const texts = answer(parts).parts.flatMap((part) => {
          if (part.type === 'text') return part.text === '' ? [] : [part.text];
          const code = part.type === 'code' ? part.code : part.type === 'code-result' ? part.output : '';
          return code.trim() === '' ? [] : [expect.stringContaining(code)];
        });
        expect(sent).toEqual(texts.map((text) => ({ text })));
        expect(contents).toHaveLength(texts.length === 0 ? 2 : 3);
      }),
      { numRuns: 300 },
    );
  });

  const stored = [
    { text: 'Let me see.', thought: true },
    { text: 'Yes.', thoughtSignature: 's' },
    { inlineData: { mimeType: 'image/png', data: 'AAAA' }, thoughtSignature: 't' },
    { functionCall: { name: 'look', args: {} } },
    { hologram: 3 },
  ];
  it.each([
    [chatModel, [{ text: 'Yes.', thoughtSignature: 's' }, { hologram: 3 }]],
    [otherModel, [{ text: 'Yes.' }]],
  ])('selects of the parts that version 0.1 stored for %s: %j', (model, expected) => {
    const { messages } = toTurn({
      ...{ tenant: 't', sessionId: 's', id: '1', createdAt: 0, model: chatModel },
      ...{ prompt: 'Well?', reply: 'Yes.', replyParts: stored },
    });
    expect(contentsFor(model, ...(messages as readonly ModelMessage[]))).toEqual([
      { role: 'user', parts: [{ text: 'Well?' }] },
      { role: 'model', parts: expected },
    ]);
  });

  it.each([
    ['MEDIA_PROCESSING', []],
    [undefined, []],
    ['GOOGLE_SEARCH_WEB', ['toolCall', 'toolResponse']],
  ])('sends steps of a tool of the type %s back as %j', (toolType, expected) => {
    const steps = [{ toolCall: { id: '1', toolType } }, { toolResponse: { id: '1', toolType } }];
    const contents = contentsFor(chatModel, user('a'), answer([...steps, { text: 'b' }]));
    expect(contents[1]?.parts?.flatMap(Object.keys)).toEqual([...expected, 'text']);
  });

  const drawn = (model: string, providerMetadata?: ProviderMetadata): ModelMessage => ({
    role: 'assistant',
    origin: { provider: 'google', model },
    parts: [{ type: 'data', mimeType: 'image/png', data: new Uint8Array([1]), providerMetadata }],
  });
  const inlineData = { mimeType: 'image/png', data: 'AQ==' };
  it.each([
    [
      'with its signature to the model that drew it',
      'gemini-3-pro-image',
      drawn('gemini-3-pro-image', { google: { thoughtSignature: 's' } }),
      { role: 'model', parts: [{ inlineData, thoughtSignature: 's' }] },
    ],
    [
      'without a signature as the model of an older model',
      'gemini-2.5-flash-image',
      drawn('gemini-2.5-flash-image'),
      { role: 'model', parts: [{ inlineData }] },
    ],
    [
      'that lost its signature as a picture of the user',
      'gemini-3-pro-image',
      drawn('gemini-3-pro-image'),
      { role: 'user', parts: [{ inlineData }] },
    ],
    [
      'of another model as a picture of the user, without its signature',
      chatModel,
      drawn('gemini-3-pro-image', { google: { thoughtSignature: 's' } }),
      { role: 'user', parts: [{ inlineData }] },
    ],
  ])('sends a generated picture %s', (_, model, message, expected) => {
    expect(contentsFor(model, user('draw'), message)[1]).toEqual(expected);
  });

  it('leaves calls without a result and results without a call out', () => {
    const call = (...ids: readonly string[]) =>
      answer(ids.map((id) => ({ functionCall: { id, name: 'look', args: {} } })));
    const result = (...ids: readonly string[]): ModelMessage => ({
      role: 'tool',
      parts: ids.map((callId) => ({ type: 'tool-result', callId, name: 'look', output: 1 })),
    });
    const namesIn = (...messages: readonly ModelMessage[]) =>
      contentsFor(chatModel, ...messages).flatMap(({ parts = [] }) =>
        parts.map((part) => part.functionCall?.id ?? part.functionResponse?.id ?? part.text),
      );
    expect(namesIn(user('a'), call('1', '2'), result('2', '3'), user('b'))).toEqual(['a', '2', '2', 'b']);
    expect(namesIn(user('a'), call('1'), user('b'), result('1'))).toEqual(['a', 'b']);
    expect(namesIn(result('1'), user('a'))).toEqual(['a']);
    expect(namesIn(user('a'), call('1', '1'), result('1', '1'))).toEqual(['a', '1', '1']);
  });

  it('names the call of a tool result where the call had an id', () => {
    const call = (part: Record<string, unknown>) => answer([part]);
    const withId = call({ functionCall: { id: '7', name: 'look', args: {} } });
    const withoutId = call({ functionCall: { name: 'look', args: {} } });
    const resultOf = (message: ModelMessage, isError?: boolean): ModelMessage => {
      const [part] = message.parts;
      if (part?.type !== 'tool-call') throw new Error('Not a call.');
      const { callId, name } = part;
      return { role: 'tool', parts: [{ type: 'tool-result', callId, name, output: 'a boat', isError }] };
    };
    const messages = [user('a'), withId, resultOf(withId), withoutId, resultOf(withoutId, true)];
    const unsigned = { thoughtSignature: 'skip_thought_signature_validator' };
    expect((contentsFor(chatModel, ...messages) as unknown[]).slice(1)).toEqual([
      { role: 'model', parts: [{ functionCall: { id: '7', name: 'look', args: {} }, ...unsigned }] },
      {
        role: 'user',
        parts: [{ functionResponse: { id: '7', name: 'look', response: { output: 'a boat' } } }],
      },
      { role: 'model', parts: [{ functionCall: { name: 'look', args: {} }, ...unsigned }] },
      { role: 'user', parts: [{ functionResponse: { name: 'look', response: { error: 'a boat' } } }] },
    ]);
  });

  it('passes any field of GenerateContentConfig on, over the neutral options', () => {
    const google = {
      tools: [{ googleSearch: {} }],
      toolConfig: { functionCallingConfig: { mode: 'AUTO' } },
      safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
      seed: 7,
      labels: { team: 'a' },
      temperature: 0.2,
      stopSequences: ['STOP'],
      thinkingConfig: { thinkingBudget: 128 },
    };
    const generation = {
      temperature: 0.9,
      stopSequences: ['END'],
      includeThoughts: true,
      thinkingLevel: 'low',
    } as const;
    expect(configFor({ generation, providerOptions: { google, acme: { seed: 1 } } })).toMatchObject({
      ...google,
      thinkingConfig: { thinkingLevel: 'LOW', includeThoughts: true, thinkingBudget: 128 },
    });
  });

  it.each([
    ['httpOptions', 'baseUrl'],
    ['abortSignal', 'signal'],
    ['automaticFunctionCalling', 'leased'],
    ['automaticContinuation', 'leased'],
    ['systemInstruction', 'systemInstruction'],
  ])('refuses %s in provider options, and says what to do', (field, advice) => {
    const configure = () => configFor({ providerOptions: { google: { [field]: { replaced: true } } } });
    expect(configure).toThrow(InvalidInputError);
    expect(configure).toThrow(`providerOptions.google.${field}`);
    expect(configure).toThrow(advice);
    expect(configFor({ providerOptions: { google: { [field]: undefined } } })).toEqual(configFor({}));
  });

  it('maps built-in tools beside those of the provider options', () => {
    const maps = { latitude: 48.1, longitude: 11.6 };
    const builtIn = { search: true, urls: true, code: true, maps, fileSearch: { stores: ['stores/a'] } };
    const google = { tools: [{ functionDeclarations: [] }], toolConfig: { functionCallingConfig: {} } };
    expect(configFor({ builtIn, providerOptions: { google } })).toMatchObject({
      tools: [
        { googleSearch: {} },
        { urlContext: {} },
        { codeExecution: {} },
        { googleMaps: {} },
        { fileSearch: { fileSearchStoreNames: ['stores/a'] } },
        { functionDeclarations: [] },
      ],
      toolConfig: { retrievalConfig: { latLng: maps }, functionCallingConfig: {} },
    });
  });

  it.each([
    [chatModel, { search: false, maps: true }, [{ googleMaps: {} }]],
    [chatModel, { search: false }, undefined],
    ['gemini-3-pro-image', { search: true, code: true }, [{ googleSearch: {} }]],
    ['my-alias', { search: true }, undefined],
  ])('gives %s of the tools %j only what is on and it has', (model, builtIn, tools) => {
    expect(configFor({ model, builtIn }).tools).toEqual(tools);
  });

  it.each([
    ['gemini-3-pro-image', ['image'], ['IMAGE']],
    ['gemini-3-pro-image', ['text', 'image', 'audio'], ['TEXT', 'IMAGE']],
    ['gemini-3.8-flash-tts', ['audio'], ['AUDIO']],
    [chatModel, ['image'], undefined],
    [chatModel, ['text'], undefined],
  ] as const)('asks %s for the modalities %j as %j', (model, responseModalities, expected) => {
    expect(configFor({ model, generation: { responseModalities } }).responseModalities).toEqual(expected);
  });

  it.each([
    ['gemini-2.5-flash', { thinkingBudget: 0 }, { thinkingBudget: 0 }],
    [chatModel, { thinkingBudget: 64 }, undefined],
    ['gemini-2.5-pro', { includeThoughts: true }, { includeThoughts: true }],
    ['gemma-3-27b-it', { includeThoughts: true, thinkingBudget: 1, thinkingLevel: 'low' }, undefined],
  ] as const)('sends %s of the thinking options %j what it takes', (model, generation, expected) => {
    expect(configFor({ model, generation }).thinkingConfig).toEqual(expected);
  });

  it('sends the seed and the token of an answer that goes on', () => {
    const config = configFor({ generation: { seed: 7 }, continuation: 'next' });
    expect(config).toMatchObject({ seed: 7, continuationToken: 'next' });
  });

  it('puts the system instruction before the conversation for a model that has no place for it', () => {
    const parametersFor = (model: string) =>
      toGeminiParameters(ask('hello', { model, systemInstruction: 'Be brief.' }));
    expect(parametersFor('models/gemma-3-27b-it')).toMatchObject({
      contents: [{ role: 'user', parts: [{ text: 'Be brief.' }] }, { role: 'user' }],
    });
    expect(parametersFor('gemma-3-27b-it').config).not.toHaveProperty('systemInstruction');
    expect(parametersFor('gemma-4-31b-it').config).toMatchObject({ systemInstruction: 'Be brief.' });
  });

  it.each([
    ['gemini-3.8-flash', 'minimal', undefined],
    ['gemini-3.8-flash', 'high', { thinkingLevel: 'HIGH' }],
    ['gemini-4-hydrogen', 'xhigh', { thinkingLevel: 'XHIGH' }],
    ['gemini-2.5-flash', 'high', undefined],
    ['my-alias', 'high', undefined],
  ] as const)('asks %s for the level %s only if it has it', (model, thinkingLevel, expected) => {
    expect(configFor({ model, generation: { thinkingLevel } }).thinkingConfig).toEqual(expected);
  });

  it.each([
    ['gemini-3.8-flash', { level: 'MEDIA_RESOLUTION_LOW' }],
    ['gemini-2.5-flash', undefined],
  ])('sends the detail of a picture only to a model that takes it: %s', (model, mediaResolution) => {
    const picture = {
      type: 'data',
      mimeType: 'image/png',
      data: new Uint8Array([1]),
      detail: 'low',
    } as const;
    const inlineData = { mimeType: 'image/png', data: 'AQ==' };
    expect(contentsFor(model, { role: 'user', parts: [picture] })).toEqual([
      { role: 'user', parts: [{ inlineData, ...(mediaResolution && { mediaResolution }) }] },
    ]);
  });

  it('sends the excerpt of a clip in seconds', () => {
    const clip = { type: 'uri', mimeType: 'video/mp4', uri: 'u' } as const;
    const parts = [
      { ...clip, excerpt: { startMs: 1_500, endMs: 3_000 } },
      { ...clip, excerpt: { startMs: 0 } },
    ];
    const fileData = { mimeType: 'video/mp4', fileUri: 'u' };
    expect(contentsFor(chatModel, { role: 'user', parts })).toMatchObject([
      {
        parts: [
          { fileData, videoMetadata: { startOffset: '1.5s', endOffset: '3s' } },
          { fileData, videoMetadata: { startOffset: '0s' } },
        ],
      },
    ]);
  });
});
