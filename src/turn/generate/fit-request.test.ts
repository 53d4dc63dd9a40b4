import { describe, expect, it } from 'vitest';
import type { ModelMessage, ModelPart, ModelRequest } from '../../model/chat-model.js';
import { FakeChatModel } from '../../testing.js';
import { fitRequest } from './fit-request.js';

const picturesOnly = new FakeChatModel([], {
  provider: 'acme',
  media: { inline: ['image/jpeg'] },
  capabilities: { tools: true },
});
const route = { name: 'acme-2', model: picturesOnly };
const data = (mimeType: string, text = 'x'): ModelPart => ({
  type: 'data',
  mimeType,
  data: new TextEncoder().encode(text),
});

function fitted(...messages: readonly ModelMessage[]): readonly ModelMessage[] {
  const request: ModelRequest = { model: 'first', messages, generation: {} };
  return fitRequest(request, route).messages;
}
const fitPart = (part: ModelPart) => fitted({ role: 'user', parts: [part] })[0]?.parts[0];

describe('fitRequest', () => {
  it('names the model of the attempt', () => {
    expect(fitRequest({ model: 'first', messages: [], generation: {} }, route).model).toBe('acme-2');
  });

  it.each(['image/jpeg', 'image/gif'])('leaves %s as it is for a model that takes pictures', (mimeType) => {
    const message: ModelMessage = { role: 'user', parts: [data(mimeType), { type: 'text', text: 'Hi' }] };
    expect(fitted(message)[0]).toBe(message);
  });

  it.each([
    [data('audio/mp3'), '[left out: acme-2 does not take audio/mp3]'],
    [data('application/pdf'), '[left out: acme-2 does not take application/pdf]'],
    [data('text/plain', 'Das Wörterbuch'), 'Das Wörterbuch'],
    [data('application/json', '{"a":1}'), '{"a":1}'],
    [
      {
        type: 'upload',
        mimeType: 'video/mp4',
        path: '/clip.mp4',
        fingerprint: 'f',
        name: 'clip.mp4',
      } as const,
      '[left out: acme-2 does not take video/mp4]',
    ],
  ])('puts into words what the model does not take: %j', (part, text) => {
    expect(fitPart(part)).toEqual({ type: 'text', text });
  });

  const answerOf = (provider: string): ModelMessage => ({
    role: 'assistant',
    origin: { provider, model: 'first' },
    providerMetadata: { google: { parts: [] } },
    parts: [
      { type: 'reasoning', text: 'Hm.' },
      { type: 'text', text: 'Yes.', providerMetadata: { google: { thoughtSignature: 's' } } },
      { type: 'provider', providerMetadata: { google: { part: {} } } },
      { type: 'tool-call', callId: 'c', name: 'f', input: {}, providerMetadata: { google: { part: {} } } },
    ],
  });

  it('removes what only the provider of an earlier answer understands', () => {
    expect(fitted(answerOf('google'))).toEqual([
      {
        role: 'assistant',
        origin: { provider: 'google', model: 'first' },
        parts: [
          { type: 'text', text: 'Yes.' },
          { type: 'tool-call', callId: 'c', name: 'f', input: {} },
        ],
      },
    ]);
  });

  it('keeps the metadata of an answer of the same provider', () => {
    const own = answerOf('acme');
    expect(fitted(own)[0]).toBe(own);
  });

  it('leaves out a message of which nothing remains', () => {
    const thoughts: ModelMessage = { ...answerOf('google'), parts: [{ type: 'reasoning', text: 'Hm.' }] };
    expect(fitted(thoughts, { role: 'user', parts: [{ type: 'text', text: 'Hi' }] })).toHaveLength(1);
  });
});
