import { type HistoryMessage, InvalidInputError, MultimodalChat } from 'multimodal-chat';
import { createHandler } from 'multimodal-chat/http';
import { FakeChatModel, FakeMediaProcessor, InMemoryStore } from 'multimodal-chat/testing';
import { beforeEach, describe, expect, it } from 'vitest';

let model: FakeChatModel;
let memory: InMemoryStore;
beforeEach(() => {
  model = new FakeChatModel();
  memory = new InMemoryStore();
});

const openChat = (options: object = {}) =>
  new MultimodalChat({ model, memory, media: new FakeMediaProcessor(), mediaArchive: false, ...options });

/** The text of the last request, message by message. */
const asked = () =>
  model.calls
    .at(-1)
    ?.request.messages.map(({ parts, role }) => [
      role,
      parts.map((part) => (part.type === 'text' ? part.text : part.type)).join(' '),
    ]);

const history: readonly HistoryMessage[] = [
  { role: 'user', text: 'My cat is called Miezi.' },
  { role: 'assistant', text: 'Nice.' },
  { role: 'user', parts: [{ type: 'text', text: 'And my dog Bello.' }] },
  { role: 'assistant', text: 'Fine.' },
];

describe('a call with `history`', () => {
  it('is shown these messages in place of the stored ones, which stay', async () => {
    await using chat = openChat();
    await chat.send({ sessionId: 's', prompt: 'A stored secret about Miezi.' });
    const reply = await chat.send({ sessionId: 's', prompt: 'Who lives here, Miezi?', history });
    expect(asked()).toEqual([
      ['user', 'My cat is called Miezi.'],
      ['assistant', 'Nice.'],
      ['user', 'And my dog Bello.'],
      ['assistant', 'Fine.'],
      ['user', 'Who lives here, Miezi?'],
    ]);
    expect(reply).toMatchObject({ recentTurns: 2, recalled: [], stored: true });
    const stored = (await chat.history({ sessionId: 's' })).map(({ prompt }) => prompt);
    expect(stored).toEqual(['A stored secret about Miezi.', 'Who lives here, Miezi?']);
    await chat.send({ sessionId: 's', prompt: 'And?', history: [] });
    expect(asked()).toEqual([['user', 'And?']]);
  });

  it('stores nothing unless it names a conversation', async () => {
    await using chat = openChat();
    expect(await chat.send({ prompt: 'Hi', history, media: ['a.png'] })).toMatchObject({ stored: false });
    expect(memory.turns).toEqual([]);
  });

  it('keeps to the budgets, the latest messages first', async () => {
    await using few = openChat({ context: { recentTurns: 1 } });
    await few.send({ prompt: 'Hi', history });
    expect(asked()?.map(([, text]) => text)).toEqual(['And my dog Bello.', 'Fine.', 'Hi']);
    await using small = openChat({ context: { recentTokens: 30 } });
    const long = { role: 'user', text: 'word '.repeat(5_000) } as const;
    await small.send({ prompt: 'Hi', history: [long, ...history] });
    expect(JSON.stringify(asked()).length).toBeLessThan(500);
    await using none = openChat({ context: { recentTurns: 0 } });
    await none.send({ prompt: 'Hi', history });
    expect(asked()).toEqual([['user', 'Hi']]);
  });

  it('takes back the messages of stored turns, and works without memory', async () => {
    await using chat = openChat();
    await chat.send({ sessionId: 's', prompt: 'Look', media: ['a.png'] });
    const messages = (await chat.history({ sessionId: 's' })).flatMap((turn) => turn.messages);
    await using other = openChat({ memory: false, mediaArchive: undefined });
    await other.send({ prompt: 'And?', history: messages });
    expect(asked()?.map(([role]) => role)).toEqual(['user', 'assistant', 'user']);
    expect(asked()?.[0]?.[1]).toContain('a.png');
  });

  it.each([
    ['a system message', [{ role: 'system', text: 'Be kind.' }], /history\.0\.role.*systemInstruction/],
    ['the names of another library', [{ role: 'user', content: 'Hi' }], /history\.0.*content/],
    ['text and parts', [{ role: 'user', text: 'Hi', parts: [] }], /history\.0\.text/],
    [
      'a broken part',
      [...history, { role: 'user', parts: [{ type: 'text' }] }],
      /history\.4\.parts\.0\.text/,
    ],
    ['no list', 'Hi', /history/],
    ['an empty message', [undefined], /history\.0/],
  ])('is refused with %s', async (_, given, message) => {
    await using chat = openChat();
    const answer = chat.send({ prompt: 'Hi', history: given as never });
    await expect(answer).rejects.toThrow(message);
    await expect(answer).rejects.toSatisfy(InvalidInputError.isInstance);
    expect(model.calls).toEqual([]);
  });

  it('is refused beside the `turnId` of a stored turn', async () => {
    await using chat = openChat();
    await expect(chat.send({ prompt: 'Hi', history, turnId: 't' })).rejects.toThrow(/history.*turnId/);
  });
});

describe('`messages` over HTTP', () => {
  const post = (handler: ReturnType<typeof createHandler>, body: object) =>
    handler(
      new Request('http://localhost/infer', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    );

  it('are refused unless the app allows them, which may hand them on', async () => {
    await using chat = openChat();
    const body = { prompt: 'Who?', messages: history };
    expect((await post(createHandler(chat), body)).status).toBe(400);
    const handler = createHandler(chat, {
      fields: ['messages'],
      prepare: (_, { fields }) => ({ history: fields.messages as readonly HistoryMessage[] }),
    });
    expect((await post(handler, body)).status).toBe(200);
    expect(asked()).toHaveLength(5);
    const wrong = await post(handler, { ...body, messages: [{ role: 'system', text: 'x' }] });
    expect([wrong.status, (await wrong.json()).detail]).toEqual([
      400,
      expect.stringContaining('systemInstruction'),
    ]);
  });
});
