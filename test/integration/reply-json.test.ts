import { type ChatStreamEvent, MultimodalChat } from 'multimodal-chat';
import { FakeChatModel, FakeMediaProcessor } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';

const bytes = new Uint8Array(5_000).fill(251);

function openChat() {
  const media = new FakeMediaProcessor();
  media.prepareNext({
    parts: [
      { mimeType: 'image/png', data: bytes, timestampMs: 7 },
      { mimeType: 'video/mp4', data: Buffer.alloc(0), path: '/tmp/private/clip.mp4' },
    ],
  });
  const model = new FakeChatModel([
    { text: 'Here.', files: [{ mimeType: 'image/png', data: Buffer.from(bytes) }] },
  ]);
  return new MultimodalChat({ model, media, memory: ':memory:' });
}

describe('the JSON of a reply', () => {
  it('has no bytes and no path of this machine, and the reply keeps both', async () => {
    await using chat = openChat();
    const reply = await chat.send({ prompt: 'Draw', media: ['a.png'] });
    const json = JSON.stringify(reply);
    expect(json.length).toBeLessThan(3_000);
    expect(json).not.toContain('251');
    expect(json).not.toContain('/tmp/private');
    expect(JSON.parse(json)).toMatchObject({
      text: 'Here.',
      media: [
        { name: 'a.png', parts: [{ mimeType: 'image/png', timestampMs: 7 }, { mimeType: 'video/mp4' }] },
      ],
      files: [{ mimeType: 'image/png' }],
    });
    expect(reply.media[0]?.parts[0]?.data).toEqual(bytes);
    expect(reply.media[0]?.parts[1]?.path).toBe('/tmp/private/clip.mp4');
    expect(Buffer.from(reply.files[0]?.data ?? []).equals(bytes)).toBe(true);
  });

  it('has none in any event of the stream or of the chat either', async () => {
    await using chat = openChat();
    const events: (ChatStreamEvent | object)[] = [];
    chat.on('reply', (event) => events.push(event));
    for await (const event of chat.stream({ prompt: 'Draw', media: ['a.png'] })) events.push(event);
    expect(events.map((event) => ('type' in event ? event.type : 'reply'))).toEqual(
      expect.arrayContaining(['media', 'file', 'done', 'reply']),
    );
    expect(JSON.stringify(events)).not.toContain('251');
  });
});

describe('chat.send', () => {
  it('leaves its failure to be noticed if nobody waits for it', async () => {
    await using chat = openChat();
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', onUnhandled);
    try {
      void chat.send({ prompt: '' });
      await new Promise((resolve) => setTimeout(resolve, 0));
      await expect.poll(() => unhandled).toHaveLength(1);
    } finally {
      process.off('unhandledRejection', onUnhandled);
      for (const listener of others) process.on('unhandledRejection', listener);
    }
    expect(unhandled).toMatchObject([{ code: 'INVALID_INPUT' }]);
  });
});
