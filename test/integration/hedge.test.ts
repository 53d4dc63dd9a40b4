import { setTimeout } from 'node:timers/promises';
import type { MultimodalChatOptions } from 'multimodal-chat';
import { BlockedError, ModelCallError, MultimodalChat } from 'multimodal-chat';
import type { GeminiEmulator } from 'multimodal-chat/testing';
import { FakeChatModel, FakeKeyPool, makeFailure, startGeminiEmulator } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scriptedModel } from '../support/scripted-model.js';

let emulator: GeminiEmulator;
const opened: MultimodalChat[] = [];

beforeEach(async () => {
  emulator = await startGeminiEmulator({
    projects: [
      { id: 'alpha', keys: ['alpha-key-0001', 'alpha-key-0002'] },
      { id: 'beta', keys: ['beta-key-0001'] },
    ],
  });
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await emulator.close();
});

const projectKeys = [
  { key: 'alpha-key-0001', project: 'alpha' },
  { key: 'alpha-key-0002', project: 'alpha' },
  { key: 'beta-key-0001', project: 'beta' },
];

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const chat = new MultimodalChat({
    ...(options.keyPool === undefined && { keys: projectKeys }),
    ...(options.model === undefined && { baseUrl: emulator.url }),
    memory: false,
    retry: { baseDelayMs: 1, maxDelayMs: 5 },
    hedge: { afterMs: 20 },
    ...options,
  });
  opened.push(chat);
  return chat;
}

/** Silent until the client hangs up: a call that is never answered. */
const silence = { fault: 'stall', afterChunks: 0 } as const;

const projectOf = (key: string | undefined) => key?.split('-')[0];

describe('option hedge', () => {
  it('asks another project if the first is silent, and keeps the answer that starts first', async () => {
    const chat = openChat();
    emulator.inject(silence);
    const reply = await chat.send({ prompt: 'Are you there?' });
    expect(reply.text).toContain('Are you there?');
    expect(emulator.journal).toHaveLength(2);
    const [late, second] = emulator.journal.map(({ key }) => projectOf(key));
    expect(second).not.toBe(late);
  });

  it('reports its cost', async () => {
    const chat = openChat();
    emulator.inject(silence);
    const { attempts } = await chat.send({ prompt: 'Are you there?' });
    expect(attempts.map(({ isHedge, failure }) => [isHedge, failure?.reason])).toEqual([
      [undefined, 'HEDGED'],
      [true, undefined],
    ]);
    const { calls, keys } = await chat.stats();
    expect(calls).toMatchObject({ total: 1, succeeded: 1, hedged: 1 });
    expect(keys.keys.map(({ usageCount }) => usageCount).reduce((a, b) => a + b)).toBe(2);
    expect(keys.keys.map(({ wastedCalls }) => wastedCalls ?? 0).reduce((a, b) => a + b)).toBe(1);
    expect(keys.inFlight).toBe(0);
  });

  it('announces the second call as an attempt', async () => {
    const chat = openChat();
    emulator.inject(silence);
    const announced: unknown[] = [];
    for await (const part of chat.stream({ prompt: 'Hi' })) {
      if (part.type === 'attempt') announced.push([part.attempt, part.isHedge]);
    }
    expect(announced).toEqual([
      [1, undefined],
      [2, true],
    ]);
  });

  it('cancels the call that is not needed', async () => {
    const chat = openChat();
    emulator.inject(silence);
    await chat.send({ prompt: 'Hi' });
    await expect.poll(() => emulator.journal[0]?.aborted).toBe(true);
  });

  it('makes no second call if the answer starts in time', async () => {
    const chat = openChat({ hedge: { afterMs: 60_000 } });
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts).toHaveLength(1);
    expect((await chat.stats()).calls.hedged).toBe(0);
  });

  it('is off by default', async () => {
    const chat = openChat({ hedge: undefined, timeouts: { firstTokenMs: 200 } });
    emulator.inject(silence);
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts.map(({ failure }) => failure?.kind)).toEqual(['timeout', undefined]);
  });

  it('waits for the first call if no other project has a key to spare', async () => {
    const chat = openChat({ keys: [{ key: 'beta-key-0001', project: 'beta' }] });
    emulator.inject({ fault: 'slow-first-byte', delayMs: 120 });
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts).toHaveLength(1);
    expect((await chat.stats()).keys.queued).toBe(0);
  });

  it('does not use a key of the same project, even if the pool grants one', async () => {
    const keyPool = new FakeKeyPool(['alpha-key-0001', 'alpha-key-0002']);
    const chat = openChat({ keyPool });
    emulator.inject({ fault: 'slow-first-byte', delayMs: 120 });
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts).toHaveLength(1);
    expect(keyPool.leases.map(({ outcome }) => outcome)).toMatchObject([
      { ok: true },
      { ok: false, sent: false },
    ]);
  });

  it('keeps waiting for the first call if the second fails', async () => {
    const chat = openChat();
    emulator.inject({ fault: 'slow-first-byte', delayMs: 300 });
    emulator.inject({ fault: 'overloaded' });
    const { attempts, text } = await chat.send({ prompt: 'Which one?' });
    expect(text).toContain('Which one?');
    expect(attempts.map(({ isHedge, failure }) => [isHedge, failure?.kind])).toEqual([
      [undefined, undefined],
      [true, 'overloaded'],
    ]);
  });

  it('retries once both have failed, without a second hedge', async () => {
    const chat = openChat({ timeouts: { firstTokenMs: 100 } });
    emulator.inject(silence);
    emulator.inject({ fault: 'internal' });
    const { attempts } = await chat.send({ prompt: 'Hi' });
    expect(attempts.map(({ isHedge, failure }) => [isHedge, failure?.kind])).toEqual([
      [undefined, 'timeout'],
      [true, 'internal'],
      [undefined, undefined],
    ]);
  });

  it('cancels both calls on abort', async () => {
    const chat = openChat();
    emulator.inject({ ...silence, times: 2 });
    const leaving = new AbortController();
    const answer = chat.send({ prompt: 'Hi', signal: leaving.signal });
    await expect.poll(() => emulator.journal.length).toBe(2);
    leaving.abort('enough');
    await expect(answer).rejects.toBe('enough');
    await expect.poll(() => emulator.journal.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect((await chat.stats()).keys.inFlight).toBe(0);
  });

  it.each([
    ['code', { type: 'code', code: { type: 'code', code: '1' } }],
    ['a thought', { type: 'thought', text: 'Hm.' }],
  ] as const)('makes no second call once %s has come', async (_, first) => {
    const model = scriptedModel(() => ({ says: [first, 'Done.'] }), { needsKey: true });
    const stream = model.stream.bind(model);
    model.stream = async function* (request, options) {
      for await (const event of stream(request, options)) {
        if (event.type === 'text') await setTimeout(60);
        yield event;
      }
    };
    const chat = openChat({ model });
    expect((await chat.send({ prompt: 'Hi' })).attempts).toHaveLength(1);
  });

  it('throws both attempts once retries are used up', async () => {
    const chat = openChat({ retry: { maxAttempts: 1 }, fallbackModels: [], timeouts: { firstTokenMs: 100 } });
    emulator.inject({ ...silence, times: 2 });
    const error = await chat.send({ prompt: 'Hi' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ModelCallError);
    expect((error as ModelCallError).attempts).toHaveLength(2);
  });

  it('throws BlockedError if both prompts are refused', async () => {
    const chat = openChat();
    emulator.inject({ fault: 'prompt-blocked', times: 2 });
    await expect(chat.send({ prompt: 'Hi' })).rejects.toBeInstanceOf(BlockedError);
  });
});

describe('a custom ChatModel', () => {
  it('has its iterator closed after the answer and after a fault', async () => {
    const model = new FakeChatModel([{ text: 'half', failure: makeFailure('overloaded') }, 'whole'], {
      needsKey: true,
    });
    const chat = openChat({ model, keyPool: new FakeKeyPool() });
    const { text } = await chat.send({ prompt: 'Hi' });
    expect(text).toBe('whole');
    expect(model.calls.map(({ cancelled }) => cancelled)).toEqual([false, false]);
  });
});
