import { ConfigurationError, InvalidInputError, MultimodalChat } from 'multimodal-chat';
import { createHandler, type HandlerOptions } from 'multimodal-chat/http';
import { FakeChatModel, InMemoryStore } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';

const openChat = (options: object = {}) =>
  new MultimodalChat({
    model: new FakeChatModel(),
    memory: new InMemoryStore(),
    mediaArchive: false,
    ...options,
  });

async function fill(chat: MultimodalChat): Promise<void> {
  for (const tenant of ['acme', 'default']) {
    for (const sessionId of ['one', 'two/ü', '\ud800']) {
      await chat.send({ tenant, sessionId, prompt: `${tenant} asks in ${sessionId}` });
    }
  }
}

const namesOf = (sessions: readonly { readonly sessionId: string }[]) =>
  sessions.map(({ sessionId }) => sessionId).sort();

describe('chat.sessions', () => {
  it('lists the conversations of one tenant, page by page', async () => {
    await using chat = openChat();
    await fill(chat);
    const all = await chat.sessions({ tenant: 'acme' });
    expect(namesOf(all)).toEqual(['one', 'two/ü', '\ud800']);
    expect(all[0]).toMatchObject({ turns: 1, title: expect.stringContaining('acme asks in') });
    expect(namesOf(await chat.sessions())).toEqual(namesOf(all));
    const first = await chat.sessions({ tenant: 'acme', limit: 2 });
    const rest = await chat.sessions({ tenant: 'acme', limit: 2, before: first.at(-1) });
    expect([...first, ...rest]).toEqual(all);
    expect(await chat.sessions({ tenant: 'acme', before: new Date(0) })).toEqual([]);
    expect(await chat.sessions({ tenant: 'nobody' })).toEqual([]);
  });

  it.each([
    ['null', null, /object/],
    ['text', 'acme', /object/],
    ['an unknown field', { tennant: 'acme' }, /tennant/],
    ['an empty tenant', { tenant: '' }, /tenant/],
    ['no conversation at all', { limit: 0 }, /limit/],
    ['too many', { limit: 100_000 }, /limit/],
    ['an invalid date', { before: new Date('soon') }, /before/],
    ['a date as text', { before: '2026-01-01' }, /before/],
  ])('names what is wrong with %s', async (_, request, message) => {
    await using chat = openChat();
    const listing = chat.sessions(request as never);
    await expect(listing).rejects.toThrow(message);
    await expect(listing).rejects.toSatisfy(InvalidInputError.isInstance);
  });

  it('is empty with memory off, and tells if a store cannot list', async () => {
    await using off = openChat({ memory: false, mediaArchive: undefined });
    expect(await off.sessions()).toEqual([]);
    const memory = Object.assign(new InMemoryStore(), { sessions: undefined });
    await using custom = openChat({ memory });
    await expect(custom.sessions()).rejects.toThrow(/has no `sessions`/);
    await expect(custom.sessions()).rejects.toSatisfy(ConfigurationError.isInstance);
  });
});

describe('GET /sessions', () => {
  const get = async (chat: MultimodalChat, query = '', options: HandlerOptions = {}) => {
    const response = await createHandler(chat, options)(new Request(`http://localhost/sessions${query}`));
    return { status: response.status, body: await response.json() };
  };

  it('lists the conversations of the caller, and no others', async () => {
    await using chat = openChat();
    await fill(chat);
    const options = { authorize: () => ({ tenant: 'acme' }) };
    const { body } = await get(chat, '', options);
    expect(body).toEqual({
      sessions: expect.arrayContaining([
        {
          session_id: 'one',
          title: 'acme asks in one',
          turns: 1,
          first_at: expect.any(Number),
          last_at: expect.any(Number),
        },
      ]),
      next: null,
    });
    expect(body.sessions).toHaveLength(3);
    expect(JSON.stringify(body)).not.toContain('default asks');
    const listed: string[] = [];
    for (let next = ''; next !== null; ) {
      const page = await get(chat, `?limit=1${next && `&before=${next}`}`, options);
      listed.push(...page.body.sessions.map((session: { session_id: string }) => session.session_id));
      next = page.body.next;
    }
    expect(listed).toEqual(body.sessions.map((session: { session_id: string }) => session.session_id));
    expect((await get(chat, '?before=2020-01-01', options)).body).toEqual({ sessions: [], next: null });
  });

  it.each<[string, HandlerOptions, number]>([
    ['a wrong token', { apiToken: 'secret' }, 401],
    ['no identity', { authorize: () => undefined }, 401],
    ['a forbidden caller', { authorize: () => ({ status: 403 }) }, 403],
  ])('lists nothing for %s', async (_, options, status) => {
    await using chat = openChat();
    await fill(chat);
    const refused = await get(chat, '', options);
    expect(refused.status).toBe(status);
    expect(JSON.stringify(refused.body)).not.toContain('asks');
  });

  it.each(['?limit=x', '?limit=0', '?before=soon', '?before=5.!', '?tenant=acme', '?offset=2'])(
    'refuses %s',
    async (query) => {
      await using chat = openChat();
      expect((await get(chat, query)).status).toBe(400);
    },
  );

  it('tells in the log if the store cannot list', async () => {
    const memory = Object.assign(new InMemoryStore(), { sessions: undefined });
    await using chat = openChat({ memory });
    const errors: unknown[] = [];
    expect((await get(chat, '', { onError: (error) => errors.push(error) })).status).toBe(500);
    expect(errors).toMatchObject([{ name: 'ConfigurationError' }]);
  });
});
