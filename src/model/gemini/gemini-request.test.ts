import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { geminiPart } from '../../../test/support/gemini-parts.js';
import { ask, chatModel } from '../../../test/support/model-calls.js';
import { toTurn } from '../../core/turn.js';
import type { ModelMessage, ModelRequest } from '../chat-model.js';
import { toMessagePart } from './gemini-parts.js';
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
  it('sends an answer back exactly to the model that gave it', () => {
    fc.assert(
      fc.property(fc.array(geminiPart, { minLength: 1, maxLength: 5 }), (parts) => {
        const message = JSON.parse(JSON.stringify(answer(parts))) as ModelMessage;
        expect(contentsFor(chatModel, user('one'), message, user('two'))).toEqual([
          { role: 'user', parts: [{ text: 'one' }] },
          { role: 'model', parts },
          { role: 'user', parts: [{ text: 'two' }] },
        ]);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['another model', { provider: 'google', model: otherModel }],
    ['another provider', { provider: 'acme', model: chatModel }],
  ])('sends only plain text and calls of the answers of %s, and leaves empty answers out', (_, origin) => {
    fc.assert(
      fc.property(fc.array(geminiPart, { maxLength: 5 }), (parts) => {
        const contents = contentsFor(chatModel, user('one'), answer(parts, origin), user('two'));
        const sent = (contents as { parts: object[] }[]).slice(1, -1).flatMap((content) => content.parts);
        const plain = answer(parts).parts.flatMap((part): object[] => {
          if (part.type === 'text') return part.text === '' ? [] : [{ text: part.text }];
          if (part.type !== 'tool-call') return [];
          return [{ functionCall: { id: expect.any(String), name: part.name, args: part.input } }];
        });
        expect(sent).toEqual(plain);
        expect(contents).toHaveLength(plain.length === 0 ? 2 : 3);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    [chatModel, [{ text: 'Yes.', thoughtSignature: 's' }, { hologram: 3 }]],
    [otherModel, [{ text: 'Yes.' }]],
  ])('sends the parts that version 0.1 stored to %s as %j', (model, expected) => {
    const replyParts = [{ text: 'Yes.', thoughtSignature: 's' }, { hologram: 3 }];
    const { messages } = toTurn({
      ...{ tenant: 't', sessionId: 's', id: '1', createdAt: 0, model: chatModel },
      ...{ prompt: 'Well?', reply: 'Yes.', replyParts },
    });
    expect(contentsFor(model, ...(messages as readonly ModelMessage[]))).toEqual([
      { role: 'user', parts: [{ text: 'Well?' }] },
      { role: 'model', parts: expected },
    ]);
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
    expect((contentsFor(chatModel, ...messages) as unknown[]).slice(1)).toEqual([
      { role: 'model', parts: [{ functionCall: { id: '7', name: 'look', args: {} } }] },
      {
        role: 'user',
        parts: [{ functionResponse: { id: '7', name: 'look', response: { output: 'a boat' } } }],
      },
      { role: 'model', parts: [{ functionCall: { name: 'look', args: {} } }] },
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
    'httpOptions',
    'abortSignal',
    'automaticFunctionCalling',
    'automaticContinuation',
    'systemInstruction',
  ])('does not let provider options replace %s', (field) => {
    const plain = configFor({ systemInstruction: 'Be brief.' });
    const google = { [field]: { replaced: true } };
    expect(configFor({ systemInstruction: 'Be brief.', providerOptions: { google } })).toEqual(plain);
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
