import type { ChatModel, ChatStreamEvent, ModelEvent, ModelRequest } from 'multimodal-chat';
import { IncompleteReplyError, MultimodalChat } from 'multimodal-chat';
import { FakeKeyPool, InMemoryStore, makeFailure } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';
import { generatedFile, type ScriptedAnswer, scriptedModel } from '../support/scripted-model.js';

const brokeOff = makeFailure('incomplete', { message: 'The answer broke off.' });
const openChat = (model: ChatModel, options: object = {}) =>
  new MultimodalChat({ model, memory: false, retry: { baseDelayMs: 1, maxDelayMs: 2 }, ...options });

/** What is shown in the end: everything after the last restart. */
async function shown(
  chat: MultimodalChat,
): Promise<{ readonly text: string; readonly events: readonly ChatStreamEvent[] }> {
  const events: ChatStreamEvent[] = [];
  for await (const event of chat.stream({ sessionId: 's', prompt: 'Tell me all.' })) events.push(event);
  const kept = events.slice(events.map(({ type }) => type).lastIndexOf('restart') + 1);
  return { text: kept.map((event) => (event.type === 'text' ? event.text : '')).join(''), events };
}

const pieces = ['Once ', 'upon ', 'a time.'];
/** Answers with the piece that the continuation names, and goes on until the last. */
function piece({ continuation }: ModelRequest): ScriptedAnswer {
  const at = Number(continuation ?? 0);
  const usage = { inputTokens: 10, outputTokens: at + 1 };
  const isLast = at === pieces.length - 1;
  return {
    says: [pieces[at] ?? ''],
    finish: isLast ? { usage } : { usage, finishReason: 'unknown', continuation: String(at + 1) },
  };
}

describe('an answer that goes on in further calls', () => {
  it('is one answer: text, counts, attempts, each with a lease of its own', async () => {
    const keyPool = new FakeKeyPool(['key-one', 'key-two']);
    const model = scriptedModel(piece, { needsKey: true });
    await using chat = openChat(model, { keyPool });
    const { events, text } = await shown(chat);
    expect(text).toBe('Once upon a time.');
    const done = events.at(-1);
    expect(done).toMatchObject({
      reply: { text, finishReason: 'stop', usage: { inputTokens: 30, outputTokens: 6 } },
    });
    expect(done?.type === 'done' && done.reply.attempts).toHaveLength(3);
    expect(events.filter(({ type }) => type === 'attempt')).toHaveLength(3);
    expect(keyPool.leases.map(({ outcome }) => outcome)).toEqual(
      [1, 2, 3].map((outputTokens) => ({ ok: true, usage: { inputTokens: 10, outputTokens } })),
    );
    expect(model.keys).toEqual(['key-one', 'key-two', 'key-one']);
    expect(model.requests.map(({ continuation }) => continuation)).toEqual([undefined, '1', '2']);
    expect(new Set(model.requests.map(({ messages }) => JSON.stringify(messages))).size).toBe(1);
  });

  it('is stored as one message', async () => {
    const memory = new InMemoryStore();
    await using chat = openChat(scriptedModel(piece), { memory, mediaArchive: false });
    await shown(chat);
    const [turn] = await chat.history({ sessionId: 's' });
    expect(turn?.reply).toBe('Once upon a time.');
    expect(turn?.messages).toHaveLength(2);
  });

  it('has the sources and files of all calls, with spans in the whole text', async () => {
    const source = (start: number, end: number): Extract<ModelEvent, { type: 'source' }> => ({
      type: 'source',
      source: { type: 'source', kind: 'web', spans: [{ start, end }] },
    });
    const search = (query: string) => ({
      searchSuggestions: { queries: ['same', query], html: `<i>${query}</i>` },
    });
    const model = scriptedModel((_, call) =>
      call === 1
        ? {
            says: ['Bees ', { type: 'file', file: generatedFile(1) }, source(0, 4)],
            finish: { continuation: 'x', info: { responseId: 'r1', ...search('bees') } },
          }
        : {
            says: ['hum.', { type: 'file', file: generatedFile(2) }, source(0, 3)],
            finish: { info: { responseId: 'r2', ...search('hum') } },
          },
    );
    const { events } = await shown(openChat(model));
    const done = events.at(-1);
    if (done?.type !== 'done') throw new Error('The answer has no end.');
    const { reply } = done;
    const streamed = events.flatMap((event) => (event.type === 'source' ? [event.source] : []));
    expect(streamed).toEqual(reply.sources);
    const spans = reply.sources.flatMap((each) => each.spans ?? []);
    expect(spans.map(({ end, start }) => reply.text.slice(start, end))).toEqual(['Bees', 'hum']);
    expect(reply.files).toEqual([generatedFile(1), generatedFile(2)]);
    expect(reply).toMatchObject({
      responseId: 'r2',
      searchSuggestions: { queries: ['same', 'bees', 'hum'], html: '<i>bees</i>\n<i>hum</i>' },
    });
  });

  it('is retried from where the last call ended, and nothing that was shown is taken back', async () => {
    const model = scriptedModel((request, call) =>
      call === 2 ? { failure: makeFailure('overloaded') } : piece(request),
    );
    const { events, text } = await shown(openChat(model));
    expect(text).toBe('Once upon a time.');
    expect(events.some(({ type }) => type === 'restart')).toBe(false);
    expect(model.requests.map(({ continuation }) => continuation)).toEqual([undefined, '1', '1', '2']);
  });

  it.each([
    ['the same text', 'upon ', ['up', 'on '], false],
    ['the same text in other pieces', 'upon ', ['upon a', ' while '], false],
    ['another text', 'upon ', ['after ', 'all '], true],
    ['a shorter text', 'upon ', ['up'], true],
  ])('shows a repeated call once: %s', async (_, broken, again, restarts) => {
    const model = scriptedModel((request, call) => {
      if (call === 2) return { says: [broken], failure: brokeOff };
      return call === 3 ? { says: again, finish: { continuation: '2' } } : piece(request);
    });
    const { events, text } = await shown(openChat(model));
    expect(text).toBe(`Once ${again.join('')}a time.`);
    expect(events.some(({ type }) => type === 'restart')).toBe(restarts);
    expect(events.at(-1)).toMatchObject({ reply: { text } });
  });

  it('shows again what the calls before it said if more than text is taken back', async () => {
    const code = { type: 'code', code: { type: 'code', code: '1' } } as const;
    const model = scriptedModel((request, call) => {
      if (call === 1) return { says: ['Once ', code], finish: { continuation: '1' } };
      return call === 2 ? { says: ['upon ', code], failure: brokeOff } : piece(request);
    });
    const { events, text } = await shown(openChat(model));
    expect(text).toBe('Once upon a time.');
    const restartAt = events.findIndex(({ type }) => type === 'restart');
    expect(events.slice(restartAt + 1, restartAt + 3)).toMatchObject([{ text: 'Once ' }, code]);
    expect(events.at(-1)).toMatchObject({ reply: { text, code: [{ code: '1' }] } });
  });

  it('starts again on a fallback model, which cannot go on with it', async () => {
    const first = scriptedModel((request, call) =>
      call === 1 ? piece(request) : { failure: makeFailure('model-unavailable') },
    );
    const fallback = scriptedModel(() => ({ says: ['A tale.'] }), { name: 'acme-2' });
    const { events, text } = await shown(openChat(first, { fallbackModels: [fallback] }));
    expect(text).toBe('A tale.');
    expect(events.filter(({ type }) => type === 'restart')).toHaveLength(1);
    expect(fallback.requests[0]?.continuation).toBeUndefined();
    expect(events.at(-1)).toMatchObject({ reply: { text, usage: undefined } });
  });

  it('does not start again with `onPartialOutput: fail`, but goes on after a fault before any text', async () => {
    const retry = { baseDelayMs: 1, maxDelayMs: 2, onPartialOutput: 'fail' } as const;
    const recovers = scriptedModel((request, call) =>
      call === 2 ? { failure: makeFailure('overloaded') } : piece(request),
    );
    expect((await shown(openChat(recovers, { retry }))).text).toBe('Once upon a time.');
    const gone = scriptedModel((request, call) =>
      call === 1 ? piece(request) : { failure: makeFailure('model-unavailable') },
    );
    const fallback = scriptedModel(() => ({ says: ['A tale.'] }), { name: 'acme-2' });
    const chat = openChat(gone, { retry, fallbackModels: [fallback] });
    await expect(shown(chat)).rejects.toBeInstanceOf(IncompleteReplyError);
    expect(fallback.requests).toHaveLength(0);
  });

  it('breaks off with the whole text that was shown', async () => {
    const model = scriptedModel((request, call) => (call < 3 ? piece(request) : { failure: brokeOff }));
    await expect(shown(openChat(model))).rejects.toMatchObject({
      name: 'IncompleteReplyError',
      partial: 'Once upon ',
    });
  });

  it('ends after 32 calls', async () => {
    const model = scriptedModel(() => ({ says: ['la '], finish: { continuation: null } }));
    await using chat = openChat(model);
    const reply = await chat.send({ prompt: 'Sing.' });
    expect(model.requests).toHaveLength(32);
    expect(reply).toMatchObject({ text: 'la '.repeat(32), finishReason: 'max-tokens' });
  });
});

const thinks = (thought: string) => ({ type: 'thought', text: thought }) as const;

/** The thoughts that are shown in the end. */
function thoughtsIn(events: readonly ChatStreamEvent[]): string {
  const kept = events.slice(events.map(({ type }) => type).lastIndexOf('restart') + 1);
  return kept.map((event) => (event.type === 'thought' ? event.text : '')).join('');
}

describe('thoughts of a call that is repeated', () => {
  const retry = { baseDelayMs: 1, maxDelayMs: 2 };

  it.each([
    ['before the first word', { says: [thinks('First ')], failure: brokeOff }],
    ['of an overloaded model', { says: [thinks('First ')], failure: makeFailure('overloaded') }],
    ['after some text', { says: [thinks('First '), 'Some'], failure: brokeOff }],
  ])('are taken back: %s', async (_, broken) => {
    const model = scriptedModel((__, call) => (call === 1 ? broken : { says: [thinks('Again.'), 'Fine.'] }));
    const { events, text } = await shown(openChat(model));
    expect(text).toBe('Fine.');
    expect(events.filter(({ type }) => type === 'restart')).toHaveLength(1);
    expect(thoughtsIn(events)).toBe('Again.');
    expect(events.at(-1)).toMatchObject({ reply: { thoughts: 'Again.' } });
  });

  it.each([
    ['thoughts alone', [thinks('Hm. ')]],
    ['thoughts and text', [thinks('Hm. '), 'upon ']],
  ])('are taken back in the middle of an answer that goes on: %s', async (_, says) => {
    const model = scriptedModel((request, call) => {
      if (call === 1) return { says: [thinks('One. '), 'Once '], finish: { continuation: '1' } };
      if (call === 2) return { says, failure: brokeOff };
      return call === 3 ? { ...piece(request), says: [thinks('Two.'), 'upon '] } : piece(request);
    });
    const { events, text } = await shown(openChat(model));
    expect(text).toBe('Once upon a time.');
    expect(thoughtsIn(events)).toBe('One. Two.');
    expect(events.at(-1)).toMatchObject({ reply: { text, thoughts: 'One. Two.' } });
  });

  it('are taken back if the history is refused after them', async () => {
    const refused = makeFailure('invalid-request', { status: 400 });
    const signed = { type: 'text', text: 'Hi.', providerMetadata: { acme: { signature: 's' } } } as const;
    const model = scriptedModel((_, call) => {
      if (call === 1) return { says: ['Hi.'], finish: { parts: [signed] } };
      return call === 2
        ? { says: [thinks('First.')], failure: refused }
        : { says: [thinks('Again.'), 'Fine.'] };
    });
    const chat = openChat(model, { memory: new InMemoryStore(), mediaArchive: false, retry });
    await shown(chat);
    expect(thoughtsIn((await shown(chat)).events)).toBe('Again.');
  });

  it('do not count as shown for `onPartialOutput: fail`', async () => {
    const model = scriptedModel((_, call) =>
      call === 1 ? { says: [thinks('First.')], failure: brokeOff } : { says: ['Fine.'] },
    );
    const chat = openChat(model, { retry: { ...retry, onPartialOutput: 'fail' } });
    expect((await shown(chat)).text).toBe('Fine.');
  });
});

describe('a restart', () => {
  it.each([
    ['a file', { type: 'file', file: generatedFile(1) }],
    ['code', { type: 'code', code: { type: 'code', code: '1' } }],
    ['a source', { type: 'source', source: { type: 'source', kind: 'web' } }],
    ['a tool call', { type: 'tool-call', call: { type: 'tool-call', callId: 'c', name: 'f', input: {} } }],
  ] as const)('is announced after %s, and the reply holds only what came after it', async (_, said) => {
    const model = scriptedModel((__, call) =>
      call === 1 ? { says: [said], failure: brokeOff } : { says: ['Fine.'] },
    );
    const { events } = await shown(openChat(model));
    expect(events.map(({ type }) => type)).toEqual([
      'attempt',
      said.type,
      'restart',
      'attempt',
      'text',
      'done',
    ]);
    expect(events.at(-1)).toMatchObject({
      reply: { text: 'Fine.', files: [], code: [], sources: [], toolCalls: [] },
    });
  });
});
