import { getEventListeners } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChatStreamEvent, MultimodalChatOptions, Turn } from 'multimodal-chat';
import {
  BlockedError,
  ClosedError,
  ConfigurationError,
  IncompleteReplyError,
  InvalidInputError,
  KeyPoolExhaustedError,
  MemoryError,
  ModelCallError,
  MultimodalChat,
  TimeoutError,
} from 'multimodal-chat';
import { createHandler } from 'multimodal-chat/http';
import type { FaultName, GeminiEmulator } from 'multimodal-chat/testing';
import {
  FakeChatModel,
  FakeKeyPool,
  FakeMediaProcessor,
  InMemoryStore,
  startGeminiEmulator,
} from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

let emulator: GeminiEmulator;
let dataDir: string;
const opened: MultimodalChat[] = [];

beforeEach(async () => {
  vi.stubEnv('GEMINI_MODEL', '');
  emulator = await startGeminiEmulator();
  dataDir = await mkdtemp(join(tmpdir(), 'chat-test-'));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await emulator.close();
  await rm(dataDir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const chat = new MultimodalChat({
    keys: ['first-key-0001', 'second-key-0002'],
    baseUrl: emulator.url,
    dataDir,
    retry: { baseDelayMs: 1, maxDelayMs: 5 },
    ...options,
  });
  opened.push(chat);
  return chat;
}

async function readAll(stream: AsyncIterable<ChatStreamEvent>): Promise<ChatStreamEvent[]> {
  const parts: ChatStreamEvent[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

const visibleText = (parts: readonly ChatStreamEvent[]) => {
  let text = '';
  for (const part of parts) {
    if (part.type === 'text') text += part.text;
    if (part.type === 'restart') text = '';
  }
  return text;
};

const thrownBy = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

const picture = () =>
  sharp({ create: { width: 60, height: 40, channels: 3, background: 'teal' } })
    .png()
    .toBuffer();

describe('MultimodalChat', () => {
  it('answers, and remembers the conversation in the next call and after a restart', async () => {
    const chat = openChat();
    const first = await chat.send({ sessionId: 's', prompt: 'My cat is called Miezi.' });
    expect(first).toMatchObject({ sessionId: 's', recentTurns: 0, finishReason: 'stop', stored: true });
    expect(first.text).toContain('My cat is called Miezi.');
    expect((await chat.send({ sessionId: 's', prompt: 'And my dog Bello.' })).recentTurns).toBe(1);
    await chat.close();

    const later = await openChat().send({ sessionId: 's', prompt: 'Who lives here?' });
    expect(later.recentTurns).toBe(2);
    expect(JSON.stringify(emulator.journal.at(-1)?.body)).toContain('Miezi');
  });

  it('streams events in order and ends with the reply', async () => {
    const chat = openChat();
    const parts = await readAll(chat.stream({ prompt: 'What colour?', media: [await picture()] }));
    const types = parts.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
    expect(types).toEqual(['media', 'recall', 'attempt', 'text', 'done']);
    const done = parts.at(-1);
    expect(done?.type === 'done' && done.reply.text).toBe(visibleText(parts));
    expect(emulator.journal[0]?.images).toMatchObject([{ width: 60, height: 40 }]);
  });

  it('keeps sessions and tenants apart', async () => {
    const chat = openChat();
    await chat.send({ sessionId: 's', tenant: 'a', prompt: 'The code word is walnut.' });
    await chat.send({ sessionId: 's', tenant: 'b', prompt: 'What is the code word?' });
    await chat.send({ sessionId: 'other', tenant: 'a', prompt: 'What is the code word?' });
    for (const call of emulator.journal.slice(1)) expect(JSON.stringify(call.body)).not.toContain('walnut');
    expect(await chat.history({ sessionId: 's', tenant: 'a' })).toHaveLength(1);
  });

  it('recalls a turn that no longer fits the recent ones, quoted as history', async () => {
    const chat = openChat({ context: { recentTurns: 2, recentTokens: 200 } });
    await chat.send({ sessionId: 's', prompt: 'The launch code of the rocket is tangerine.' });
    for (const number of [1, 2, 3])
      await chat.send({ sessionId: 's', prompt: `Small talk number ${number}.` });
    const reply = await chat.send({ sessionId: 's', prompt: 'What was the launch code of the rocket?' });
    expect(reply.recalled.map(({ turn }) => turn.prompt)).toContain(
      'The launch code of the rocket is tangerine.',
    );
    expect(JSON.stringify(emulator.journal.at(-1)?.body)).toContain(
      '> The launch code of the rocket is tangerine.',
    );
  });

  it('forgets a session for good', async () => {
    const chat = openChat();
    await chat.send({ sessionId: 's', prompt: 'Remember this.' });
    expect(await chat.forget({ sessionId: 's' })).toBe(1);
    expect(await chat.history({ sessionId: 's' })).toEqual([]);
  });

  it('stores nothing with memory off, and nothing on disk with `:memory:`', async () => {
    const off = openChat({ memory: false });
    expect((await off.send({ sessionId: 's', prompt: 'One' })).stored).toBe(false);
    expect((await off.send({ sessionId: 's', prompt: 'Two' })).recentTurns).toBe(0);
    const inProcess = openChat({ memory: ':memory:' });
    await inProcess.send({ sessionId: 's', prompt: 'One' });
    expect((await inProcess.send({ sessionId: 's', prompt: 'Two' })).recentTurns).toBe(1);
    expect(await readdir(dataDir)).toEqual([]);
  });

  it('reports call counts and the state of its parts', async () => {
    const chat = openChat();
    await chat.send({ prompt: 'Hi' });
    emulator.inject({ fault: 'safety' });
    await thrownBy(chat.send({ prompt: 'Hi' }));
    const stats = await chat.stats();
    expect(stats.calls).toEqual({ total: 2, inFlight: 0, succeeded: 1, failed: 1, cancelled: 0, hedged: 0 });
    expect(stats.keys.keys.map(({ id }) => id)).toEqual(['key_1_...0001', 'key_2_...0002']);
    expect(stats.memory?.turns).toBe(1);
  });

  it('answers many calls at once', async () => {
    const chat = openChat();
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, number) =>
        chat.send({ sessionId: `s${number}`, prompt: `Number ${number}.` }),
      ),
    );
    for (const [number, { text }] of replies.entries()) expect(text).toContain(`Number ${number}.`);
  });
});

describe('MultimodalChat, on a fault before the first text', () => {
  const ridable: FaultName[] = [
    'overloaded',
    'internal',
    'reset-before-headers',
    'html-error',
    'wrong-content-type',
    'empty-body',
    'empty-candidates',
    'rate-limit-bare',
    'bad-key',
    'leaked-key',
    'suspended',
    'daily-quota',
    'no-quota',
    'model-not-found',
    'duplicate-chunks',
    'split-utf8',
    'crlf',
    'trickle',
  ];
  it.each(ridable)('recovers from %s without a restart', async (fault) => {
    const chat = openChat();
    emulator.inject({ fault, times: 1 });
    const parts = await readAll(chat.stream({ prompt: 'Still there? Grüße, 世界.' }));
    expect(visibleText(parts)).toContain('Still there? Grüße, 世界.');
    expect(parts.filter(({ type }) => type === 'restart')).toEqual([]);
  });

  it('takes back thoughts that no answer followed', async () => {
    const chat = openChat();
    emulator.inject({ fault: 'thoughts-only', times: 1 });
    const parts = await readAll(chat.stream({ prompt: 'Still there?' }));
    const types = parts.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
    expect(types).toEqual(['recall', 'attempt', 'thought', 'restart', 'attempt', 'text', 'done']);
  });

  it('reports every attempt in the reply and by events', async () => {
    const chat = openChat();
    const retries: string[] = [];
    chat.on('retry', ({ failure }) => retries.push(failure.kind));
    emulator.inject({ fault: 'overloaded', times: 2 });
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts.map(({ failure }) => failure?.kind)).toEqual(['overloaded', 'overloaded', undefined]);
    expect(retries).toEqual(['overloaded', 'overloaded']);
  });

  it('falls back to another model if the first is retired', async () => {
    const chat = openChat({ model: 'gemini-0.1-old', fallbackModels: ['gemini-3.8-flash'] });
    emulator.inject({ fault: 'model-not-found', times: 1 });
    expect((await chat.send({ prompt: 'Hi' })).model).toBe('gemini-3.8-flash');
  });

  it('throws the last failure with every attempt once retries are used up', async () => {
    const chat = openChat({ fallbackModels: [], retry: { maxAttempts: 2, baseDelayMs: 1 } });
    emulator.inject({ fault: 'internal', times: 9 });
    const error = await thrownBy(chat.send({ prompt: 'Hi' }));
    expect(error).toBeInstanceOf(ModelCallError);
    expect(error).toMatchObject({ code: 'MODEL_INTERNAL', attempts: [{}, {}] });
  });

  it('reports that all keys are bad, without showing them', async () => {
    const chat = openChat({ fallbackModels: [] });
    emulator.inject({ fault: 'bad-key', times: Number.POSITIVE_INFINITY });
    const error = await thrownBy(chat.send({ prompt: 'Hi' }));
    expect(error).toBeInstanceOf(KeyPoolExhaustedError);
    expect(String(error)).toMatch(/key/i);
    expect(JSON.stringify(error) + String(error)).not.toContain('first-key');
  });

  it.each<[FaultName, string]>([
    ['safety', 'SAFETY'],
    ['prompt-blocked', 'SAFETY'],
    ['recitation', 'RECITATION'],
  ])('does not retry a refusal (%s), and stores nothing', async (fault, reason) => {
    const chat = openChat();
    emulator.inject({ fault, times: 1 });
    const error = await thrownBy(chat.send({ sessionId: 's', prompt: 'Hi' }));
    expect(error).toBeInstanceOf(BlockedError);
    expect(error).toMatchObject({ code: 'BLOCKED', reason });
    expect(emulator.journal).toHaveLength(1);
    expect(await chat.history({ sessionId: 's' })).toEqual([]);
  });
});

describe('MultimodalChat, on a fault after some text', () => {
  const breaking: FaultName[] = [
    'reset-mid-body',
    'no-finish',
    'truncated-json',
    'event-error',
    'error-in-stream',
  ];

  it.each(breaking)('restarts after %s and emits `restart`', async (fault) => {
    const chat = openChat();
    emulator.inject({ fault, times: 1 });
    const parts = await readAll(chat.stream({ prompt: 'A long story, please.' }));
    const done = parts.at(-1);
    expect(done?.type === 'done' && done.reply.attempts.length).toBe(2);
    expect(visibleText(parts)).toContain('A long story, please.');
    expect(done?.type === 'done' && done.reply.text).toBe(visibleText(parts));
  });

  it('throws the partial text with `onPartialOutput: fail`', async () => {
    const chat = openChat({ retry: { onPartialOutput: 'fail' } });
    emulator.inject({ fault: 'reset-mid-body', times: 1 });
    const seen: ChatStreamEvent[] = [];
    const error = await thrownBy(
      (async () => {
        for await (const part of chat.stream({ prompt: 'A long story, please.' })) seen.push(part);
      })(),
    );
    expect(error).toBeInstanceOf(IncompleteReplyError);
    expect((error as IncompleteReplyError).partial).toBe(visibleText(seen));
    expect(visibleText(seen)).not.toBe('');
  });
});

describe('MultimodalChat, when canceled', () => {
  it('cancels the request when the loop is left, and stores nothing', async () => {
    await emulator.close();
    emulator = await startGeminiEmulator({ chunkDelayMs: 50, chunks: 40 });
    const chat = openChat();
    for await (const part of chat.stream({ sessionId: 's', prompt: 'A long story, please.' })) {
      if (part.type === 'text') break;
    }
    await vi.waitFor(() => expect(emulator.journal[0]?.aborted).toBe(true));
    expect(await chat.history({ sessionId: 's' })).toEqual([]);
    expect((await chat.stats()).keys.inFlight).toBe(0);
  });

  it.each(['stall', 'slow-first-byte'] as const)(
    'rethrows the reason of an abort unchanged (%s)',
    async (fault) => {
      const chat = openChat();
      emulator.inject({ fault, times: 1 });
      const controller = new AbortController();
      const reason = new Error('the user pressed stop');
      chat.on('span-start', ({ kind }) => kind === 'attempt' && setImmediate(() => controller.abort(reason)));
      expect(await thrownBy(chat.send({ prompt: 'Hi', signal: controller.signal }))).toBe(reason);
    },
  );

  it('does not start with a signal that is already aborted', async () => {
    const error = await thrownBy(openChat().send({ prompt: 'Hi', signal: AbortSignal.abort('no') }));
    expect(error).toBe('no');
    expect(emulator.journal).toEqual([]);
  });

  it('does not blame the key for an abort', async () => {
    const chat = openChat({ keys: ['first-key-0001'] });
    emulator.inject({ fault: 'stall', times: 1 });
    const leaving = new AbortController();
    const answer = thrownBy(chat.send({ prompt: 'Hi', signal: leaving.signal }));
    await expect.poll(() => emulator.journal).toHaveLength(1);
    leaving.abort('enough');
    expect(await answer).toBe('enough');
    const [key] = (await chat.stats()).keys.keys;
    expect(key).toMatchObject({
      state: 'ready',
      serverErrors: 0,
      lastError: null,
    });
  });

  it('serves any number of calls under one signal without a warning', async () => {
    const chat = openChat({ memory: ':memory:' });
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 30 }, () => chat.send({ prompt: 'Hi', signal })));
    await new Promise(setImmediate);
    process.off('warning', onWarning);
    expect(warnings.map(({ name }) => name)).not.toContain('MaxListenersExceededWarning');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('retries when an answer stalls', async () => {
    const chat = openChat({ timeouts: { betweenChunksMs: 100, firstTokenMs: 100 } });
    emulator.inject({ fault: 'stall', times: 1 });
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts.map(({ failure }) => failure?.kind)).toEqual(['timeout', undefined]);
  });

  it('ends a call that takes longer than its timeout', async () => {
    const chat = openChat();
    emulator.inject({ fault: 'stall', times: Number.POSITIVE_INFINITY });
    const error = await thrownBy(chat.send({ prompt: 'Hi', timeoutMs: 150 }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ timeoutMs: 150 });
  });

  it('cancels running calls on close and accepts no new ones', async () => {
    const chat = openChat();
    emulator.inject({ fault: 'stall', times: 1 });
    const started = new Promise<void>((resolve) =>
      chat.on('span-start', ({ kind }) => kind === 'attempt' && resolve()),
    );
    const running = thrownBy(chat.send({ prompt: 'Hi' }));
    await started;
    await chat.close();
    expect(await running).toBeInstanceOf(ClosedError);
    expect(await thrownBy(chat.send({ prompt: 'Hi' }))).toBeInstanceOf(ClosedError);
  });
});

describe('MultimodalChat, when memory fails', () => {
  const turns: Turn[] = [];
  const workingStore = {
    append: async (turn: Turn) => void turns.push(turn),
    recent: async () => [],
    recall: async () => [],
    forget: async () => 0,
    stats: async () => ({ cacheSize: 0, pending: 0 }),
    flush: async () => undefined,
    close: async () => undefined,
  };
  const broken = () => Promise.reject(new MemoryError('The disk is full. Make room.'));

  it('still answers if the turn cannot be stored', async () => {
    const chat = openChat({ memory: { ...workingStore, append: broken } });
    const failures: string[] = [];
    chat.on('failure', ({ error }) => failures.push(error.message));
    expect(await chat.send({ prompt: 'Hi' })).toMatchObject({ stored: false });
    expect(failures).toEqual(['The disk is full. Make room.']);
  });

  it('throws if the conversation so far cannot be read', async () => {
    const chat = openChat({ memory: { ...workingStore, recent: broken } });
    expect(await thrownBy(chat.send({ prompt: 'Hi' }))).toBeInstanceOf(MemoryError);
    expect(emulator.journal).toEqual([]);
  });
});

describe('new MultimodalChat()', () => {
  it.each([{}, { keys: [] }])('is made without a key, which the first call asks for: %j', async (options) => {
    vi.stubEnv('GEMINI_API_KEY', '');
    await using chat = new MultimodalChat({ ...options, memory: false });
    const refused = expect(chat.send({ prompt: 'Hi' })).rejects;
    await refused.toBeInstanceOf(ConfigurationError);
    await refused.toThrow(/GEMINI_API_KEY.*GEMINI_API_KEY_1/);
    expect((await chat.stats()).keys).toMatchObject({ keys: [], allRejected: true });
    const health = await createHandler(chat)(new Request('http://localhost/health'));
    expect(health.status).toBe(503);
  });

  it('takes keys, model and base URL from the environment', async () => {
    vi.stubEnv('GEMINI_API_KEY_2', 'key-from-environment');
    vi.stubEnv('GEMINI_MODEL', 'gemini-3.5-flash-lite');
    vi.stubEnv('GOOGLE_GEMINI_BASE_URL', emulator.url);
    await using chat = new MultimodalChat({ memory: false });
    await chat.send({ prompt: 'Hi' });
    expect(emulator.journal[0]).toMatchObject({
      key: 'key-from-environment',
      model: 'gemini-3.5-flash-lite',
    });
  });

  it('needs no key with a model that needs none', async () => {
    vi.stubEnv('GEMINI_API_KEY', '');
    await using chat = new MultimodalChat({ memory: false, model: new FakeChatModel() });
    expect((await chat.send({ prompt: 'Hi' })).text).not.toBe('');
  });

  it.each([
    [{ prompt: '' }, /prompt/],
    [{ prompt: 'x', media: [null] }, /media/],
  ])('refuses %j', async (request, message) => {
    const error = await thrownBy(openChat().send(request as never));
    expect(error).toBeInstanceOf(InvalidInputError);
    expect(String(error)).toMatch(message);
  });
});

describe('MultimodalChat.close()', () => {
  it('leaves injected parts open', async () => {
    const closed: string[] = [];
    const close = (name: string) => async () => void closed.push(name);
    const chat = new MultimodalChat({
      model: Object.assign(new FakeChatModel([], { needsKey: true }), { close: close('model') }),
      keyPool: Object.assign(new FakeKeyPool(), { close: close('keyPool') }),
      media: Object.assign(new FakeMediaProcessor(), { close: close('media') }),
      memory: Object.assign(new InMemoryStore(), { close: close('memory') }),
    });
    await chat.send({ prompt: 'Hi' });
    await chat.close();
    expect(closed).toEqual([]);
  });
});
