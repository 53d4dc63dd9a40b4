import type {
  ChatRequest,
  ChatStreamEvent,
  Embedder,
  JsonValue,
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
import { z } from 'zod';

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

  it('type the object of a reply by the schema of `output`', async () => {
    const order = { id: 7, due: '2026-01-01' };
    const model = new FakeChatModel(Array.from({ length: 6 }, () => JSON.stringify(order)));
    await using chat = new MultimodalChat({ model, memory: ':memory:' });
    const output = z.object({ id: z.number(), due: z.string().transform((text) => new Date(text)) });
    const { object } = await chat.send({ prompt: 'Which?', output });
    expectTypeOf(object).toEqualTypeOf<{ id: number; due: Date }>();
    expect(object).toEqual({ id: 7, due: new Date(order.due) });
    const streamed = await chat.stream({ prompt: 'Which?', output }).reply;
    expectTypeOf(streamed.object).toEqualTypeOf<{ id: number; due: Date }>();
    const session = chat.session('s');
    const inSession = await session.send('Which?', { output });
    expectTypeOf(inSession.object).toEqualTypeOf<{ id: number; due: Date }>();
    const whole = await session.stream({ prompt: 'Which?', output }).reply;
    expectTypeOf(whole.object).toEqualTypeOf<{ id: number; due: Date }>();
    const unchecked = await chat.send({ prompt: 'Which?', output: { type: 'object' } });
    expectTypeOf(unchecked.object).toEqualTypeOf<JsonValue>();
    const plain = await chat.send({ prompt: 'Which?' });
    expectTypeOf(plain.object).toEqualTypeOf<unknown>();
    expectTypeOf(plain).toEqualTypeOf<Reply>();
    expect(plain).not.toHaveProperty('object');
    const request: ChatRequest = { prompt: 'Which?' };
    expectTypeOf(await chat.send(request)).toEqualTypeOf<Reply>();
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
