import { EventEmitter, once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  ChatEvents,
  ChatModel,
  ModelRequest,
  ModelStreamOptions,
  MultimodalChatOptions,
} from 'multimodal-chat';
import { MemoryError, MultimodalChat, systemClock } from 'multimodal-chat';
import {
  FakeChatModel,
  FakeKeyPool,
  type GeminiEmulator,
  InMemoryStore,
  startGeminiEmulator,
} from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const summaryModel = 'gemini-3.5-flash-lite';
/** Occurs in summaries only. */
const marker = 'Zusammengefasst';
const sessionId = 's';

let emulator: GeminiEmulator;
let dataDir: string;
const opened: MultimodalChat[] = [];

/** A summary with every fact of the texts. */
const notesOn = (texts: readonly string[]) =>
  `${marker}: ${[...new Set(texts.join(' ').match(/fact\d+/g))].join(' ')}.`;

beforeEach(async () => {
  emulator = await startGeminiEmulator({
    answer: (call) => (call.model === summaryModel ? notesOn(call.texts) : 'Noted.'),
  });
  dataDir = await mkdtemp(join(tmpdir(), 'summary-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await emulator.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** Three turns are sent verbatim; two more trigger a summary. Recall is off, so that only the summary shows. */
const context = {
  recentTokens: 120,
  recallTurns: 0,
  summary: { everyTokens: 60, maxTokens: 300 },
} satisfies MultimodalChatOptions['context'];

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const chat = new MultimodalChat({
    ...(options.keyPool === undefined && options.model === undefined && { keys: ['a-key-0001'] }),
    ...(options.model === undefined && { baseUrl: emulator.url }),
    dataDir,
    retry: { baseDelayMs: 1, maxDelayMs: 2 },
    context,
    ...options,
  });
  opened.push(chat);
  return chat;
}

const saying = (number: number) =>
  `Please remember fact${number}, ${'which is of some importance '.repeat(3)}`;

async function tell(chat: MultimodalChat, from: number, to: number, more: { tenant?: string } = {}) {
  for (let number = from; number <= to; number += 1) {
    await chat.send({ sessionId, prompt: saying(number), ...more });
  }
}

/** The next event of its kind that meets the condition. */
function next<Name extends 'span-end' | 'failure'>(
  chat: MultimodalChat,
  name: Name,
  isMeant: (event: Parameters<ChatEvents[Name]>[0]) => boolean = () => true,
): Promise<Parameters<ChatEvents[Name]>[0]> {
  return new Promise((resolve) => {
    const listener = (event: Parameters<ChatEvents[Name]>[0]) => {
      if (isMeant(event)) resolve(event);
    };
    chat.on(name, listener as ChatEvents[Name]);
  });
}
const nextSummary = (chat: MultimodalChat) =>
  next(
    chat,
    'span-end',
    (span) => span.kind === 'call' && span.purpose === 'summary' && span.outcome === 'ok',
  );

const summaryCalls = () => emulator.journal.filter(({ model }) => model === summaryModel);
const lastTexts = () => (emulator.journal.at(-1)?.texts ?? []).join('\n');

async function filesWith(word: string): Promise<string[]> {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(
    files.map(async (file) => ((await readFile(file)).includes(word) ? [file] : [])),
  );
  return found.flat();
}

/** Echoes a prompt; for a summary, waits until the test supplies the answer. */
class HeldSummaries implements ChatModel {
  readonly #fake = new FakeChatModel();
  readonly provider = this.#fake.provider;
  readonly models = { ...this.#fake.models, summary: summaryModel };
  readonly needsKey = false;
  readonly #asked = new EventEmitter();
  readonly asked = once(this.#asked, 'asked');

  answer(text: string): void {
    this.#fake.answerNext(text);
    this.#asked.emit('answer');
  }

  capabilities() {
    return this.#fake.capabilities();
  }

  async *stream(request: ModelRequest, options: ModelStreamOptions) {
    if (request.model === summaryModel) {
      const answered = once(this.#asked, 'answer');
      this.#asked.emit('asked');
      await answered;
    }
    yield* this.#fake.stream(request, options);
  }
}

describe('RollingSummary', () => {
  it('summarizes after an answer once there are enough turns, and the next question includes it', async () => {
    const chat = openChat();
    const made = nextSummary(chat);
    await tell(chat, 1, 4);
    expect(summaryCalls()).toEqual([]);
    await tell(chat, 5, 6);
    expect(await made).toMatchObject({ sessionId, summarizedTurns: 2 });
    expect((await chat.stats()).summaries).toMatchObject({ made: 1, failed: 0, lastError: null });

    const reply = await chat.send({ sessionId, prompt: 'What do you know?' });
    expect(reply).toMatchObject({ summarizedTurns: 2, recalled: [] });
    const texts = lastTexts();
    expect(texts).toMatch(new RegExp(`^> ${marker}: fact1 fact2\\.$`, 'm'));
    expect(texts).toContain('Notes on the first 2 turns');
    expect(texts).toContain(saying(6));
    expect(texts).not.toContain(saying(1));
    expect((await chat.history({ sessionId })).map(({ prompt }) => prompt)).toContain(saying(1));
  });

  it('extends the summary from itself and the new turns only', async () => {
    const chat = openChat();
    for (let number = 1; number <= 6; number += 1) await tell(chat, number, number);
    await expect.poll(async () => (await chat.stats()).summaries?.made).toBe(1);
    await tell(chat, 7, 8);
    await expect.poll(async () => (await chat.stats()).summaries?.made).toBe(2);
    const [, second] = summaryCalls();
    const texts = (second?.texts ?? []).join('\n');
    expect(texts).toContain(`> ${marker}: fact1 fact2.`);
    expect(texts).not.toContain(saying(2));
    expect(texts).toContain(saying(3).trimEnd());
    await chat.send({ sessionId, prompt: 'And now?' });
    expect(lastTexts()).toContain(`> ${marker}: fact1 fact2 fact3 fact4.`);
  });

  it('keeps the summary across a restart', async () => {
    const before = openChat();
    const made = nextSummary(before);
    await tell(before, 1, 6);
    await made;
    await before.close();
    const { summarizedTurns } = await openChat().send({
      sessionId,
      prompt: 'What do you know?',
    });
    expect(summarizedTurns).toBe(2);
    expect(lastTexts()).toContain(`${marker}: fact1 fact2.`);
  });

  it('catches up with a long conversation without a summary, oldest turns first', async () => {
    await tell(openChat({ context: { ...context, summary: false } }), 1, 12);
    const chat = openChat();
    const made = nextSummary(chat);
    await tell(chat, 13, 13);
    expect(await made).toMatchObject({ summarizedTurns: 10 });
  });

  it.each([
    ['its conversation', () => ({ sessionId })],
    ['its tenant', () => ({ tenant: 'default' })],
    ['everything before a date', () => ({ before: new Date(Date.now() + 1_000) })],
  ])('leaves no summary on disk after forgetting %s', async (_, target) => {
    const chat = openChat();
    const made = nextSummary(chat);
    await tell(chat, 1, 6);
    await made;
    expect(await filesWith(marker)).not.toEqual([]);
    expect(await chat.forget(target())).toBe(6);
    expect(await filesWith(marker)).toEqual([]);
    expect(await filesWith('fact1')).toEqual([]);
    const { summarizedTurns } = await chat.send({ sessionId, prompt: 'What do you know?' });
    expect(summarizedTurns).toBe(0);
  });

  it('drops the summary with the first turn it covers, and makes a new one without it', async () => {
    let now = Date.now() - 1_000_000;
    const chat = openChat({ clock: { ...systemClock, now: () => now } });
    const made = nextSummary(chat);
    for (let number = 1; number <= 6; number += 1) {
      await tell(chat, number, number);
      now += 1_000;
    }
    await made;
    const [first] = await chat.history({ sessionId });
    await chat.forget({ before: new Date((first?.createdAt ?? 0) + 1) });
    expect(await filesWith(marker)).toEqual([]);
    const again = nextSummary(chat);
    await tell(chat, 7, 7);
    await again;
    await chat.send({ sessionId, prompt: 'What do you know?' });
    expect(lastTexts()).toContain(`${marker}: fact2 fact3 fact4.`);
  });

  it('does not keep a summary of a conversation that was forgotten meanwhile', async () => {
    const model = new HeldSummaries();
    const chat = openChat({ model });
    await tell(chat, 1, 6);
    await model.asked;
    await chat.forget({ sessionId });
    model.answer(marker);
    await chat.close();
    expect(await filesWith(marker)).toEqual([]);
  });

  it('does not send the summary for another tenant or session', async () => {
    const chat = openChat();
    const made = nextSummary(chat);
    await tell(chat, 1, 6);
    await made;
    const foreign = openChat({ context: { ...context, summary: { everyTokens: 100_000 } } });
    await tell(foreign, 11, 16, { tenant: 'another' });
    expect(lastTexts()).not.toContain(marker);
    const reply = await foreign.send({ sessionId, tenant: 'another', prompt: 'What do you know?' });
    expect(reply.summarizedTurns).toBe(0);
    expect(lastTexts()).not.toContain('fact1,');
  });

  it('sends no summary with a request that holds the whole conversation', async () => {
    const chat = openChat();
    const made = nextSummary(chat);
    await tell(chat, 1, 6);
    await made;
    await chat.close();
    const roomy = openChat({ context: { ...context, recentTokens: 12_000 } });
    expect((await roomy.send({ sessionId, prompt: 'Hm?' })).summarizedTurns).toBe(0);
    expect(lastTexts()).not.toContain(marker);
  });

  it.each([undefined, false])('makes no summary with `summary: %j`', async (summary) => {
    const chat = openChat({ context: { ...context, summary } });
    await tell(chat, 1, 8);
    expect((await chat.stats()).summaries).toBeUndefined();
    await chat.close();
    expect(summaryCalls()).toEqual([]);
  });

  it('is refused for a store without `summaries`', () => {
    const memory = Object.assign(new InMemoryStore(), { summaries: undefined });
    expect(() => openChat({ memory })).toThrow(/`context.summary` would be ignored: your `memory` has no/);
  });
});

describe('RollingSummary, its model call', () => {
  it('leases with batch priority', async () => {
    const keyPool = new FakeKeyPool();
    const chat = openChat({ keyPool, context: { ...context, summary: true } });
    const long = 'x'.repeat(12_000);
    const made = nextSummary(chat);
    for (let turn = 0; turn < 3; turn += 1) await chat.send({ sessionId, tenant: 't', prompt: long });
    await made;
    const needs = keyPool.leases.map(({ request: { model, priority, tenant } }) => ({
      model,
      priority,
      tenant,
    }));
    expect(needs.at(-1)).toEqual({ model: summaryModel, priority: 'batch', tenant: 't' });
    expect(needs.slice(0, -1).every(({ priority }) => priority === 'interactive')).toBe(true);
  });

  it('is postponed while there is no quota to spare', async () => {
    const chat = openChat({ limits: [{ model: summaryModel, rpm: 0 }] });
    const failures: unknown[] = [];
    chat.on('failure', (event) => failures.push(event));
    await tell(chat, 1, 6);
    await expect.poll(async () => (await chat.stats()).summaries?.postponed).toBeGreaterThan(0);
    await chat.close();
    expect(summaryCalls()).toEqual([]);
    expect(failures).toEqual([]);
  });

  it('leaves the quota of a shared model to questions', async () => {
    const model = 'gemini-3.8-flash';
    const chat = openChat({
      limits: [{ rpm: 6 }],
      context: { ...context, summary: { ...context.summary, model } },
    });
    // A summary after the fifth answer would make the sixth question wait for a minute.
    await tell(chat, 1, 6);
    emulator.expectCalls({ model }, 6);
    await expect.poll(async () => (await chat.stats()).summaries).toMatchObject({ made: 0, postponed: 2 });
  });

  it('fails no answer when it fails, and pauses for a while', async () => {
    let now = Date.now();
    const chat = openChat({ clock: { ...systemClock, now: () => now, wallTime: () => now } });
    emulator.inject({ fault: 'internal', model: summaryModel, times: 2 });
    const failed = next(chat, 'failure');
    await tell(chat, 1, 6);
    const { error, ...names } = await failed;
    expect(error).toBeInstanceOf(MemoryError);
    expect(error.message).toMatch(/summary of earlier turns could not be made: .*tried again/);
    expect(names.sessionId).toBe(sessionId);
    await tell(chat, 7, 8);
    expect(summaryCalls()).toHaveLength(2);
    expect((await chat.stats()).summaries).toMatchObject({ made: 0, failed: 1, lastErrorAt: now });
    expect((await chat.stats()).calls).toMatchObject({ succeeded: 8, failed: 0 });

    now += 61_000;
    const made = nextSummary(chat);
    await tell(chat, 9, 9);
    await made;
    await chat.send({ sessionId, prompt: 'What do you know?' });
    expect(lastTexts()).toContain(`${marker}: fact1 fact2 fact3`);
  });

  it('uses the configured model', async () => {
    const chat = openChat({
      context: { ...context, summary: { ...context.summary, model: 'gemini-3.6-flash' } },
    });
    const made = nextSummary(chat);
    await tell(chat, 1, 6);
    await made;
    emulator.expectCalls({ model: 'gemini-3.6-flash' }, 1);
  });

  it('is canceled when the chat is closed', async () => {
    const chat = openChat();
    emulator.inject({ fault: 'stall', model: summaryModel, times: Number.POSITIVE_INFINITY });
    await tell(chat, 1, 6);
    await expect.poll(() => summaryCalls().length).toBe(1);
    await chat.close();
    await emulator.whenIdle();
    expect(summaryCalls()).toMatchObject([{ aborted: true }]);
    expect(await filesWith(marker)).toEqual([]);
  });
});
