import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { MultimodalChatOptions, Turn } from 'multimodal-chat';
import { InvalidInputError, MemoryError, MultimodalChat } from 'multimodal-chat';
import { FakeChatModel, FakeMediaProcessor, InMemoryStore, VirtualClock } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let dataDir: string;
const opened: MultimodalChat[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'transfer-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await rm(dataDir, { recursive: true, force: true });
});

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const chat = new MultimodalChat({
    model: new FakeChatModel(),
    media: new FakeMediaProcessor(),
    dataDir,
    ...options,
  });
  opened.push(chat);
  return chat;
}

async function linesOf(chat: MultimodalChat, sessionId: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of chat.exportSession({ sessionId })) lines.push(line);
  return lines;
}

const withoutNames = (turns: readonly Turn[]) => turns.map(({ sessionId: _, tenant: __, ...turn }) => turn);

describe('exportSession and importSession', () => {
  it('copy a conversation to another name and another store', async () => {
    const chat = openChat();
    await chat.send({ sessionId: 'a', prompt: 'Hello, wörld 🙂', media: ['sketch.png'] });
    await chat.send({ sessionId: 'a', prompt: 'Line one\nline two' });
    const lines = await linesOf(chat, 'a');
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toMatch(/^\{[^\n]*\}\n$/);

    const other = openChat({ memory: ':memory:' });
    expect(await other.importSession({ sessionId: 'b', tenant: 't' }, lines)).toBe(2);
    const [before, after] = await Promise.all([
      chat.history({ sessionId: 'a' }),
      other.history({ sessionId: 'b', tenant: 't' }),
    ]);
    expect(withoutNames(after)).toEqual(withoutNames(before));
    expect(after.every(({ sessionId, tenant }) => sessionId === 'b' && tenant === 't')).toBe(true);
    const { reattachedMedia } = await other.send({
      sessionId: 'b',
      tenant: 't',
      prompt: 'What is on sketch.png?',
    });
    expect(reattachedMedia).toMatchObject([{ name: 'sketch.png' }]);
  });

  it('restore any text, however the lines are split into pieces', async () => {
    const source = openChat({ memory: ':memory:' });
    const said = fc.array(
      fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.trim() !== ''),
      { maxLength: 4 },
    );
    let session = 0;
    await fc.assert(
      fc.asyncProperty(said, fc.integer({ min: 1, max: 50 }), async (prompts, size) => {
        session += 1;
        const [from, to] = [`from-${session}`, `to-${session}`];
        for (const prompt of prompts) await source.send({ sessionId: from, prompt });
        const text = (await linesOf(source, from)).join('');
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
          text.slice(at * size, (at + 1) * size),
        );
        await source.importSession({ sessionId: to }, pieces);
        const [before, after] = [
          await source.history({ sessionId: from }),
          await source.history({ sessionId: to }),
        ];
        expect(withoutNames(after)).toEqual(withoutNames(before));
      }),
      { numRuns: 40 },
    );
  });

  it('change nothing when repeated', async () => {
    const chat = openChat();
    await chat.send({ sessionId: 'a', prompt: 'Hello' });
    const lines = await linesOf(chat, 'a');
    for (let time = 0; time < 2; time += 1) await chat.importSession({ sessionId: 'b' }, lines);
    expect(await chat.history({ sessionId: 'b' })).toHaveLength(1);
  });

  it.each([
    ['nothing', '', 'There is nothing to import'],
    ['another file', '{"a":1}\n', 'Line 1 of the import is not valid'],
    ['a later version', '{"format":"multimodal-chat/session","version":3}\n', 'Line 1'],
    [
      'a truncated line',
      '{"format":"multimodal-chat/session","version":1}\n{"turn":{"id":',
      'Line 2 of the import is not JSON',
    ],
    [
      'a turn without an id',
      '{"format":"multimodal-chat/session","version":1}\n{"turn":{"prompt":"p"}}\n',
      'Line 2',
    ],
  ])('refuse %s', async (_, text, sentence) => {
    const chat = openChat();
    const error = await chat.importSession({ sessionId: 'a' }, [text]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidInputError);
    expect((error as Error).message).toContain(sentence);
  });

  it('throw with memory off', async () => {
    const chat = openChat({ memory: false });
    expect(() => chat.exportSession({ sessionId: 'a' })).toThrow(MemoryError);
    await expect(chat.importSession({ sessionId: 'a' }, [])).rejects.toBeInstanceOf(MemoryError);
  });
});

describe('retention', () => {
  const dayMs = 86_400_000;

  it('forgets turns and attachments of that age by itself', async () => {
    const clock = new VirtualClock();
    const chat = openChat({ clock, retention: { maxAgeMs: 30 * dayMs } });
    await chat.send({ sessionId: 'a', prompt: 'Old', media: ['old.png'] });
    await clock.advance(20 * dayMs);
    await chat.send({ sessionId: 'a', prompt: 'New' });
    expect(await chat.history({ sessionId: 'a' })).toHaveLength(2);
    await clock.advance(11 * dayMs);
    await expect.poll(() => chat.history({ sessionId: 'a' })).toMatchObject([{ prompt: 'New' }]);
    await expect.poll(async () => (await chat.stats()).mediaArchive?.items).toBe(0);
  });

  it('emits `failure` if it cannot forget', async () => {
    const memory = new InMemoryStore();
    memory.forget = () => Promise.reject(new MemoryError('The disk is on fire.'));
    const failures: unknown[] = [];
    const chat = openChat({ memory, retention: { maxAgeMs: dayMs } });
    chat.on('failure', ({ error }) => failures.push(error));
    await chat.send({ sessionId: 'a', prompt: 'Hi' });
    await expect.poll(() => failures).toMatchObject([{ message: 'The disk is on fire.' }]);
  });
});

describe('An import', () => {
  const header = '{"format":"multimodal-chat/session","version":2}\n';
  const turn = { id: 'a', createdAt: 1, prompt: 'p', reply: 'r' };
  const lineOf = (change: object) => `${JSON.stringify({ turn: { ...turn, ...change } })}\n`;

  it.each([
    ['a time that no date can hold', { createdAt: 1e16 }],
    ['a time before 1970', { createdAt: -1 }],
    ['half a millisecond', { createdAt: 0.5 }],
    ['an empty id', { id: '' }],
    ['negative tokens', { usage: { inputTokens: -1 } }],
    ['a text part without text', { messages: [{ role: 'assistant', parts: [{ type: 'text' }] }] }],
    ['media of an unknown kind', { media: [{ kind: 'hologram', name: 'n', fingerprint: 'f' }] }],
  ])('is refused for %s', async (_, change) => {
    const chat = openChat();
    const refusal = chat.importSession({ sessionId: 's' }, [header, lineOf(change)]);
    await expect(refusal).rejects.toSatisfy(InvalidInputError.isInstance);
    await expect(refusal).rejects.toThrow(/^Line 2 of the import/);
    expect(await chat.history({ sessionId: 's' })).toEqual([]);
  });

  const providerMetadata = { google: { thoughtSignature: 'signed' } };
  const parts = [
    { type: 'text', text: 'r', providerMetadata },
    { type: 'provider', providerMetadata },
    { type: 'tool-call', callId: 'c', name: 'pay', input: {}, providerMetadata },
  ];
  const messages = [{ role: 'assistant', parts, providerMetadata }];

  it('drops the metadata of a provider, and turns calls into text', async () => {
    const chat = openChat();
    const lines = [header, lineOf({ messages, replyParts: [{ text: 'signed' }] })];
    await chat.importSession({ sessionId: 's' }, lines);
    const [kept] = await chat.history({ sessionId: 's' });
    expect(JSON.stringify(kept)).not.toContain('signed');
    expect(kept?.messages[0]?.parts.map(({ type }) => type)).toEqual(['text', 'text']);
  });

  it('keeps both if it is trusted', async () => {
    const chat = openChat();
    await chat.session('s').import([header, lineOf({ messages })], { trusted: true });
    const [kept] = await chat.history({ sessionId: 's' });
    expect(kept?.messages).toEqual(messages);
  });

  it('is refused for an unknown option', async () => {
    const refusal = openChat().importSession({ sessionId: 's' }, [header], { trust: true } as never);
    await expect(refusal).rejects.toSatisfy(InvalidInputError.isInstance);
  });

  it('takes a part whose type is the name of an inherited property', async () => {
    const chat = openChat();
    const odd = [{ role: 'assistant', parts: [{ type: 'constructor' }] }];
    expect(await chat.importSession({ sessionId: 's' }, [header, lineOf({ messages: odd })])).toBe(1);
  });

  it.each([
    [
      'in a part of a known type',
      (input: string) => `{"type":"tool-call","callId":"c","name":"n","input":${input}}`,
    ],
    ['in a part of another type', (input: string) => `{"type":"later","input":${input}}`],
  ])('is refused for values nested very deeply %s', async (_, part) => {
    const chat = openChat();
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = lineOf({ messages: [{ role: 'assistant', parts: ['HERE'] }] }).replace('"HERE"', part(deep));
    const refusal = chat.importSession({ sessionId: 's' }, [header, text]);
    await expect(refusal).rejects.toThrow(/^Line 2 of the import is nested/);
    await expect(refusal).rejects.toSatisfy(InvalidInputError.isInstance);
  });

  it('names only the first of many errors in a line', async () => {
    const wrong = [{ role: 'assistant', parts: Array.from({ length: 1_000 }, () => ({ type: 'text' })) }];
    const refusal = openChat().importSession({ sessionId: 's' }, [header, lineOf({ messages: wrong })]);
    const error = await refusal.catch((thrown: Error) => thrown);
    expect((error as Error).message.length).toBeLessThan(1_000);
  });

  it('reads a long line in small pieces once', async () => {
    const chat = openChat({ memory: ':memory:' });
    const text = lineOf({ reply: 'x'.repeat(8_000_000) });
    const pieces = function* () {
      yield header;
      for (let at = 0; at < text.length; at += 64) yield text.slice(at, at + 64);
    };
    expect(await chat.importSession({ sessionId: 's' }, pieces())).toBe(1);
  });
});
