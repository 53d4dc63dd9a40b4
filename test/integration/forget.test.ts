import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInputError, MultimodalChat, type MultimodalChatOptions } from 'multimodal-chat';
import { createHandler } from 'multimodal-chat/http';
import { FakeChatModel, FakeMediaProcessor } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

let dataDir: string;
const opened: MultimodalChat[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'forget-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(opened.splice(0).map((chat) => chat.close()));
  await rm(dataDir, { recursive: true, force: true });
});

function openChat(options: MultimodalChatOptions = {}): MultimodalChat {
  const media = new FakeMediaProcessor();
  const chat = new MultimodalChat({ model: new FakeChatModel(), media, dataDir, ...options });
  opened.push(chat);
  return chat;
}

const anyChat = { acme: ['a', 'b'], other: ['a', 'b'] } as const;

async function fill(chat: MultimodalChat): Promise<void> {
  for (const [tenant, sessions] of Object.entries(anyChat)) {
    for (const sessionId of sessions) {
      for (const turnId of ['one', 'two']) await chat.send({ tenant, sessionId, turnId, prompt: turnId });
    }
  }
}

async function turnsLeft(chat: MultimodalChat): Promise<string[]> {
  const left: string[] = [];
  for (const [tenant, sessions] of Object.entries(anyChat)) {
    for (const sessionId of sessions) {
      for (const { id } of await chat.history({ tenant, sessionId }))
        left.push(`${tenant} ${sessionId} ${id}`);
    }
  }
  return left;
}

const tomorrow = () => new Date(Date.now() + 86_400_000);

describe('forget', () => {
  it.each([
    ['a tenant before a date', { tenant: 'acme', before: tomorrow() }, /^acme /],
    ['a conversation before a date', { tenant: 'acme', sessionId: 'a', before: tomorrow() }, /^acme a /],
    ['one turn', { tenant: 'acme', sessionId: 'a', turnId: 'one' }, /^acme a one/],
    ['a conversation', { tenant: 'acme', sessionId: 'a' }, /^acme a /],
    ['a tenant', { tenant: 'acme' }, /^acme /],
    ['everything before a date', { before: tomorrow() }, /./],
    ['nothing of a conversation of the default tenant', { sessionId: 'a' }, /^default/],
  ] as const)('removes %s and nothing else', async (_, target, gone) => {
    const chat = openChat();
    await fill(chat);
    const before = await turnsLeft(chat);
    const expected = before.filter((turn) => !gone.test(turn));
    expect(await chat.forget(target)).toBe(before.length - expected.length);
    expect(await turnsLeft(chat)).toEqual(expected);
  });

  it.each([
    ['{}', {}, /name a `sessionId`/],
    ['the name of HTTP', { tenant: 'acme', session_id: 'a' }, /session_id.*Did you mean `sessionId`/],
    ['an unknown field', { sessionId: 'a', tenant: 'acme', turn: 'one' }, /turn/],
    ['an undefined turn', { sessionId: 'a', tenant: 'acme', turnId: undefined }, /`turnId` is undefined/],
    ['an undefined session', { tenant: 'acme', sessionId: undefined }, /`sessionId` is undefined/],
    ['an undefined date', { tenant: 'acme', before: undefined }, /`before` is undefined/],
    ['an invalid date', { tenant: 'acme', before: new Date('soon') }, /`before`/],
    ['a date as text', { before: '2026-01-01' }, /`before`/],
    ['a turn of no session', { tenant: 'acme', turnId: 'one' }, /needs a `sessionId`/],
    ['a turn and a date', { sessionId: 'a', tenant: 'acme', turnId: 'one', before: tomorrow() }, /together/],
    ['an empty name', { tenant: '' }, /must not be empty/],
    ['text', 'acme', /object/],
    ['nothing', undefined, /object/],
  ])('removes nothing for %s', async (_, target, message) => {
    const chat = openChat();
    await fill(chat);
    const refusal = chat.forget(target as never);
    await expect(refusal).rejects.toThrow(message);
    await expect(refusal).rejects.toSatisfy(InvalidInputError.isInstance);
    expect(await turnsLeft(chat)).toHaveLength(8);
  });

  it('removes the media of a turn that no other turn names', async () => {
    const chat = openChat({ memory: ':memory:' });
    await chat.send({ sessionId: 's', turnId: 'one', prompt: 'Look', media: ['both.png', 'alone.png'] });
    await chat.send({ sessionId: 's', turnId: 'two', prompt: 'Look', media: ['both.png'] });
    await chat.forget({ sessionId: 's', turnId: 'one' });
    expect((await chat.stats()).mediaArchive?.items).toBe(1);
    await chat.forget({ sessionId: 's', turnId: 'two' });
    expect((await chat.stats()).mediaArchive?.items).toBe(0);
  });

  it.each([['s'], [{ session_id: 's' }], [{ sessionId: '' }], [undefined]])(
    'and history name what is wrong with %j',
    async (conversation) => {
      await expect(openChat().history(conversation as never)).rejects.toSatisfy(InvalidInputError.isInstance);
    },
  );
});

describe('DELETE /sessions', () => {
  const call = (chat: MultimodalChat, path: string) =>
    createHandler(chat, { authorize: () => ({ tenant: 'acme' }) })(
      new Request(`http://localhost${path}`, { method: 'DELETE' }),
    );

  it('deletes one turn, or the turns before a date', async () => {
    const chat = openChat();
    await fill(chat);
    expect(await (await call(chat, '/sessions/a/turns/one')).json()).toMatchObject({ deleted: 1 });
    expect(await (await call(chat, '/sessions/b?before=2020-01-01')).json()).toMatchObject({ deleted: 0 });
    const before = encodeURIComponent(tomorrow().toISOString());
    expect(await (await call(chat, `/sessions/b?before=${before}`)).json()).toMatchObject({ deleted: 2 });
    expect(await turnsLeft(chat)).toHaveLength(5);
  });

  it.each(['?befor=2026-01-01', '?before=soon', '?before=', '/turns/one?before=2026-01-01', '?turn_id=one'])(
    'deletes nothing for %s',
    async (rest) => {
      const chat = openChat();
      await fill(chat);
      expect((await call(chat, `/sessions/a${rest}`)).status).toBe(400);
      expect(await turnsLeft(chat)).toHaveLength(8);
    },
  );
});

describe('A question with the id of a stored turn', () => {
  it('replaces the turn, and the model is shown what came before it', async () => {
    const model = new FakeChatModel();
    const chat = openChat({ model });
    for (const turnId of ['one', 'two', 'three']) await chat.send({ sessionId: 's', turnId, prompt: turnId });
    const { stored } = await chat.send({ sessionId: 's', turnId: 'two', prompt: 'two again' });
    expect(stored).toBe(true);
    const history = await chat.history({ sessionId: 's' });
    expect(history.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['one', 'one'],
      ['two', 'two again'],
      ['three', 'three'],
    ]);
    const shown = JSON.stringify(model.calls.at(-1)?.request);
    expect(shown).toContain('"one"');
    expect(shown).not.toMatch(/"two"|"three"/);
  });
});

describe('Memory that fails', () => {
  it('is a process warning once, and in the statistics until it works again', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const chat = openChat({ dataDir: '/dev/null/here' });
    for (let n = 0; n < 2; n++)
      expect((await chat.send({ sessionId: 's', prompt: 'Hi' })).stored).toBe(false);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/not remembered/), {
      code: 'MULTIMODAL_CHAT_MEMORY',
    });
    expect((await chat.stats()).memory).toMatchObject({
      isDegraded: true,
      lastError: { message: expect.stringMatching(/could not be opened/), at: expect.any(Number) },
    });
  });

  it('that was deleted while in use is opened anew', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const chat = openChat();
    await chat.send({ sessionId: 's', turnId: 'lost', prompt: 'Hi' });
    await rm(dataDir, { recursive: true });
    expect((await chat.send({ sessionId: 's', turnId: 'kept', prompt: 'Hi' })).stored).toBe(true);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/deleted or replaced/), expect.anything());
    const again = openChat();
    expect((await again.history({ sessionId: 's' })).map(({ id }) => id)).toEqual(['kept']);
  });

  it('is private to the user', async () => {
    const directory = join(dataDir, 'new');
    const chat = openChat({ dataDir: directory });
    await chat.send({ sessionId: 's', prompt: 'Hi', media: ['a.png'] });
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    const files = (await readdir(directory)).filter((name) => name.startsWith('memory'));
    expect(files.length).toBeGreaterThan(1);
    for (const name of files) expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
    expect((await stat(join(directory, 'media'))).mode & 0o777).toBe(0o700);
  });
});
