import { type ChatSpan, type EndedSpan, MultimodalChat, type MultimodalChatOptions } from 'multimodal-chat';
import {
  FakeChatModel,
  FakeMediaProcessor,
  type GeminiEmulator,
  InMemoryStore,
  makeFailure,
  startGeminiEmulator,
} from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let emulator: GeminiEmulator;
const opened: MultimodalChat[] = [];
let started: ChatSpan[] = [];
let ended: EndedSpan[] = [];

beforeEach(async () => {
  emulator = await startGeminiEmulator();
  started = [];
  ended = [];
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await emulator.close();
});

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const isForeign = options.model !== undefined;
  const chat = new MultimodalChat({
    ...(!isForeign && { keys: ['alpha-key-0001'], baseUrl: emulator.url }),
    memory: new InMemoryStore(),
    mediaArchive: false,
    media: new FakeMediaProcessor(),
    retry: { baseDelayMs: 1, maxDelayMs: 2 },
    ...options,
  });
  chat.on('span-start', (span) => started.push(span));
  chat.on('span-end', (span) => ended.push(span));
  opened.push(chat);
  return chat;
}

const kindsOf = (spans: readonly ChatSpan[]) => spans.map(({ kind }) => kind);
const ofKind = (kind: ChatSpan['kind']) => ended.filter((span) => span.kind === kind);
const settled = () => expect.poll(() => started.length - ended.length).toBe(0);

describe('spans', () => {
  it('tell the way of one question', async () => {
    const chat = openChat();
    const picture = { data: new Uint8Array([1]), name: 'a.jpg' };
    const request = { tenant: 't', sessionId: 's', turnId: 'turn', prompt: 'Hi', media: [picture] };
    const { usage } = await chat.send(request);
    expect(kindsOf(started)).toEqual(
      expect.arrayContaining(['call', 'media', 'recall', 'lease', 'attempt', 'store']),
    );
    expect(started).toHaveLength(6);
    expect(kindsOf(ended).at(-1)).toBe('call');
    const [call] = ofKind('call');
    expect(call).toMatchObject({
      purpose: 'answer',
      outcome: 'ok',
      answeredBy: 'gemini-3.8-flash',
      finishReason: 'stop',
      usage,
    });
    for (const span of ended) {
      expect(span).toMatchObject({
        tenant: 't',
        sessionId: 's',
        turnId: 'turn',
        callId: call?.id,
        outcome: 'ok',
      });
      expect(span.durationMs).toBeGreaterThanOrEqual(0);
      expect(span.parentId).toBe(span.kind === 'call' ? undefined : call?.id);
    }
    expect(ofKind('lease')[0]?.keyId).toBe('key_1_...0001');
    expect(ofKind('attempt')[0]).toMatchObject({
      attempt: 1,
      provider: 'google',
      keyId: 'key_1_...0001',
      usage,
    });
    expect(ofKind('media')[0]).toMatchObject({ index: 0, mimeType: expect.any(String) });
    expect(ofKind('recall')[0]).toMatchObject({ recentTurns: 0, recalledTurns: 0 });
  });

  it('begin and end once each, with the same id', async () => {
    const chat = openChat();
    await Promise.all([1, 2, 3].map((number) => chat.send({ sessionId: 's', prompt: `Hi ${number}` })));
    const ids = started.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ended.map(({ id }) => id).sort()).toEqual([...ids].sort());
  });

  it('differ for two calls of the same turn', async () => {
    const chat = openChat();
    for (const prompt of ['One', 'Two']) await chat.send({ sessionId: 's', turnId: 'same', prompt });
    expect(new Set(ended.map(({ callId }) => callId)).size).toBe(2);
  });

  it('show a failed attempt and the one after it', async () => {
    emulator.inject({ fault: 'overloaded', times: 1 });
    await openChat().send({ prompt: 'Hi' });
    expect(ofKind('attempt')).toMatchObject([
      { attempt: 1, outcome: 'failed', failure: { kind: 'overloaded' } },
      { attempt: 2, outcome: 'ok' },
    ]);
    expect(ofKind('call')).toMatchObject([{ outcome: 'ok' }]);
  });

  it('show a second attempt beside a late one, and which was not needed', async () => {
    const keys = [
      { key: 'alpha-key-0001', project: 'alpha' },
      { key: 'beta-key-0001', project: 'beta' },
    ];
    emulator.inject({ fault: 'slow-first-byte', delayMs: 2_000, times: 1 });
    await openChat({ keys, hedge: { afterMs: 20 } }).send({ prompt: 'Hi' });
    await settled();
    expect(ofKind('attempt')).toMatchObject([
      { isHedge: undefined, outcome: 'cancelled' },
      { isHedge: true, outcome: 'ok' },
    ]);
  });

  it('fail with the call that fails', async () => {
    const error = await openChat({ model: new FakeChatModel([{ failure: makeFailure('invalid-request') }]) })
      .send({ prompt: 'Hi' })
      .catch((thrown: unknown) => thrown);
    expect(ofKind('call')).toMatchObject([{ outcome: 'failed', error }]);
    expect(ofKind('lease')).toEqual([]);
    expect(ofKind('store')).toEqual([]);
  });

  it('fail with the attachment that cannot be used, and cancel what ran beside it', async () => {
    const media = new FakeMediaProcessor();
    const failure = new Error('unreadable');
    media.prepare = async () => Promise.reject(failure);
    await openChat({ media })
      .send({ prompt: 'Hi', media: [new Uint8Array([1])] })
      .catch(() => undefined);
    await settled();
    expect(ofKind('media')).toMatchObject([{ outcome: 'failed', error: failure }]);
    expect(ofKind('call')).toMatchObject([{ outcome: 'failed' }]);
  });

  it('fail with the store while the call succeeds', async () => {
    const memory = new InMemoryStore();
    memory.append = async () => Promise.reject(new Error('disk full'));
    const reply = await openChat({ memory }).send({ prompt: 'Hi' });
    expect(reply.stored).toBe(false);
    expect(ofKind('store')).toMatchObject([{ outcome: 'failed', error: { message: 'disk full' } }]);
    expect(ofKind('call')).toMatchObject([{ outcome: 'ok' }]);
  });

  it.each<[string, (chat: MultimodalChat) => Promise<unknown>]>([
    [
      'leaves the loop',
      async (chat) => {
        for await (const { type } of chat.stream({ prompt: 'Hi' })) if (type === 'attempt') break;
      },
    ],
    [
      'aborts',
      async (chat) => {
        const controller = new AbortController();
        chat.on('span-start', ({ kind }) => kind === 'attempt' && setImmediate(() => controller.abort()));
        await chat.send({ prompt: 'Hi', signal: controller.signal });
      },
    ],
    [
      'cancels the stream',
      async (chat) => {
        const stream = chat.stream({ prompt: 'Hi' });
        await stream.next();
        stream.cancel();
        await stream.reply;
      },
    ],
  ])('are cancelled when the caller %s', async (_, leave) => {
    const chat = openChat({ model: new FakeChatModel([{ text: 'Hel', hangs: true }]) });
    await leave(chat).catch(() => undefined);
    await settled();
    expect(ofKind('call')).toMatchObject([{ outcome: 'cancelled' }]);
    expect(ofKind('store')).toEqual([]);
    const { calls } = await chat.stats();
    expect(calls).toMatchObject({ total: 1, inFlight: 0, succeeded: 0, failed: 0, cancelled: 1 });
  });

  it('tell of the summary that is made after an answer', async () => {
    const chat = openChat({
      model: new FakeChatModel(),
      context: { recentTokens: 1, recallTurns: 0, summary: { everyTokens: 1 } },
    });
    for (const prompt of ['One', 'Two']) await chat.send({ sessionId: 's', prompt });
    await expect
      .poll(() => ofKind('call').filter((span) => span.kind === 'call' && span.purpose === 'summary'))
      .toHaveLength(1);
    const summary = ended.find((span) => span.kind === 'call' && span.purpose === 'summary');
    expect(summary).toMatchObject({ outcome: 'ok', summarizedTurns: 1, sessionId: 's', model: 'fake-model' });
    const parts = ended.filter(({ parentId }) => parentId === summary?.id);
    expect(kindsOf(parts)).toEqual(['attempt', 'store']);
  });

  it('do not fail a call whose listener throws', async () => {
    const chat = openChat();
    chat.on('span-end', () => {
      throw new Error('listener broke');
    });
    expect((await chat.send({ prompt: 'Hi' })).finishReason).toBe('stop');
  });
});

describe('stats().calls', () => {
  it('adds up, whatever became of the calls', async () => {
    const chat = openChat({
      model: new FakeChatModel([
        'fine',
        { failure: makeFailure('invalid-request') },
        { text: 'Hel', hangs: true },
      ]),
    });
    await chat.send({ prompt: 'a' });
    await chat.send({ prompt: 'b' }).catch(() => undefined);
    for await (const { type } of chat.stream({ prompt: 'c' })) if (type === 'text') break;
    const { cancelled, failed, inFlight, succeeded, total } = (await chat.stats()).calls;
    expect({ cancelled, failed, inFlight, succeeded }).toEqual({
      cancelled: 1,
      failed: 1,
      inFlight: 0,
      succeeded: 1,
    });
    expect(total).toBe(cancelled + failed + inFlight + succeeded);
  });
});
