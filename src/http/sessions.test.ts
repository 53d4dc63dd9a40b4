import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { turn, url } from '../../test/support/http-samples.js';
import { toTurn } from '../index.js';
import { createHandler } from './handler.js';

describe('/sessions/{id}', () => {
  it('returns and deletes a conversation of the tenant', async () => {
    const chat = fakeChat({ turns: [turn] });
    const handler = createHandler(chat, { authorize: () => ({ tenant: 'acme' }) });
    const read = await handler(new Request(url('/sessions/a%2Fb')));
    expect(await read.json()).toMatchObject({
      session_id: 'a/b',
      turns: [{ turn_id: 't0', response: 'In Lisbon.' }],
    });
    const forgotten = await handler(new Request(url('/sessions/a%2Fb'), { method: 'DELETE' }));
    expect(await forgotten.json()).toEqual({ session_id: 'a/b', deleted: 3 });
    expect(chat.forgotten).toEqual([{ tenant: 'acme', sessionId: 'a/b' }]);
  });

  it('shows the messages of each turn, without what only a provider understands', async () => {
    const providerMetadata = { google: { thoughtSignature: 'c2lnbmVk' } };
    const picture = { kind: 'image', name: 'map.png', fingerprint: 'ee', mimeType: 'image/png' } as const;
    const stored = toTurn({
      tenant: 'default',
      sessionId: 'c1',
      id: 't1',
      parentId: 't0',
      createdAt: 1_700_000_000_000,
      messages: [
        {
          role: 'user',
          parts: [
            { type: 'media', media: picture },
            { type: 'text', text: 'Where is my order?' },
          ],
        },
        {
          role: 'assistant',
          origin: { provider: 'google', model: 'm' },
          providerMetadata,
          parts: [
            { type: 'reasoning', text: 'Look it up.' },
            { type: 'text', text: 'One moment. ' },
            { type: 'tool-call', callId: 'a', name: 'find_order', input: { id: 7 }, providerMetadata },
          ],
        },
        {
          role: 'tool',
          parts: [
            {
              type: 'tool-result',
              callId: 'a',
              name: 'find_order',
              output: { status: 'lost' },
              isError: true,
              media: [picture],
            },
          ],
        },
        {
          role: 'assistant',
          parts: [
            { type: 'provider', providerMetadata },
            { type: 'text', text: 'It is lost.', providerMetadata },
            { type: 'file', mimeType: 'image/png', fingerprint: 'dd', bytes: 12, name: 'chart.png' },
            { type: 'source', kind: 'web', title: 'Orders', url: 'https://shop.example/7' },
          ],
        },
      ],
    });
    const response = await createHandler(fakeChat({ turns: [stored] }))(new Request(url('/sessions/c1')));
    const wirePicture = { kind: 'image', name: 'map.png', mime_type: 'image/png', fingerprint: 'ee' };
    expect(await response.json()).toEqual({
      session_id: 'c1',
      turns: [
        {
          turn_id: 't1',
          parent_id: 't0',
          created_at: 1_700_000_000,
          prompt: 'Where is my order?',
          response: 'One moment. It is lost.',
          media: [wirePicture],
          messages: [
            {
              role: 'user',
              parts: [
                { type: 'media', media: wirePicture },
                { type: 'text', text: 'Where is my order?' },
              ],
            },
            {
              role: 'assistant',
              parts: [
                { type: 'reasoning', text: 'Look it up.' },
                { type: 'text', text: 'One moment. ' },
                { type: 'tool-call', call_id: 'a', name: 'find_order', input: { id: 7 } },
              ],
            },
            {
              role: 'tool',
              parts: [
                {
                  type: 'tool-result',
                  call_id: 'a',
                  name: 'find_order',
                  output: { status: 'lost' },
                  is_error: true,
                  media: [wirePicture],
                },
              ],
            },
            {
              role: 'assistant',
              parts: [
                { type: 'text', text: 'It is lost.' },
                { type: 'file', mime_type: 'image/png', fingerprint: 'dd', bytes: 12, name: 'chart.png' },
                { type: 'source', kind: 'web', title: 'Orders', url: 'https://shop.example/7' },
              ],
            },
          ],
        },
      ],
    });
  });
});
