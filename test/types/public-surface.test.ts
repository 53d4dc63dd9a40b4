import type {
  ChatStreamEvent,
  Embedder,
  KeyPool,
  MediaProcessor,
  MemoryStore,
  MultimodalChatOptions,
  Reply,
  RetryPolicy,
} from 'multimodal-chat';
import {
  BackoffRetryPolicy,
  DefaultMediaProcessor,
  EmbeddedMemoryStore,
  GeminiEmbedder,
  GeminiModel,
  MediaError,
  MultimodalChat,
  MultimodalChatError,
  ScheduledKeyPool,
} from 'multimodal-chat';
import { ChromaMemoryStore } from 'multimodal-chat/chroma';
import { FakeChatModel } from 'multimodal-chat/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';

// The types are checked by `npm run check`, which compiles this file.
describe('the public types', () => {
  it('accept each shipped part where its interface is expected', () => {
    expectTypeOf(ScheduledKeyPool).instance.toExtend<KeyPool>();
    expectTypeOf(BackoffRetryPolicy).instance.toExtend<RetryPolicy>();
    expectTypeOf(DefaultMediaProcessor).instance.toExtend<MediaProcessor>();
    expectTypeOf(EmbeddedMemoryStore).instance.toExtend<MemoryStore>();
    expectTypeOf(ChromaMemoryStore).instance.toExtend<MemoryStore>();
    expectTypeOf(GeminiEmbedder).instance.toExtend<Embedder>();
    expectTypeOf<{ model: GeminiModel }>().toExtend<MultimodalChatOptions>();
    expect(new GeminiModel()).toHaveProperty('stream');
  });

  it('narrow an event of the stream by its type', async () => {
    await using chat = new MultimodalChat({ model: new FakeChatModel(['Hello!']), memory: false });
    const replies: Reply[] = [];
    for await (const part of chat.stream({ prompt: 'Hi' })) {
      expectTypeOf(part).toEqualTypeOf<ChatStreamEvent>();
      if (part.type === 'done') replies.push(part.reply);
    }
    expect(replies.map(({ text }) => text)).toEqual(['Hello!']);
  });

  it('narrow an error by its class, also across two copies of the package', () => {
    const error: unknown = new MediaError('corrupt', 'The picture is truncated.');
    expect(MediaError.isInstance(error) && error.reason).toBe('corrupt');
    if (MediaError.isInstance(error)) expectTypeOf(error.reason).toExtend<string>();
    if (MultimodalChatError.isInstance(error)) expectTypeOf(error.code).toEqualTypeOf<string>();
  });

  it('refuse what is not an option', () => {
    // @ts-expect-error a misspelled option
    expect(() => new MultimodalChat({ modell: 'x' })).toThrow(/modell/);
    // @ts-expect-error not a retry policy
    expect(() => new MultimodalChat({ retry: 3 })).toThrow(/retry/);
  });
});
