import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../core/errors.js';
import { FakeChatModel, InMemoryStore } from '../testing.js';
import { MultimodalChat } from './multimodal-chat.js';

function openChat() {
  return new MultimodalChat({ model: new FakeChatModel(), memory: new InMemoryStore(), mediaArchive: false });
}

describe('chat.session', () => {
  it('sends, streams and reads one conversation of one tenant', async () => {
    await using chat = openChat();
    const trip = chat.session('trip', { tenant: 'acme' });
    expect([trip.sessionId, trip.tenant]).toEqual(['trip', 'acme']);
    expect((await trip.send('One')).sessionId).toBe('trip');
    expect((await trip.send({ prompt: 'Two', turnId: 'second' })).turnId).toBe('second');
    expect((await trip.stream('Three', { turnId: 'third' }).reply).turnId).toBe('third');
    const prompts = (await trip.history()).map(({ prompt }) => prompt);
    expect(prompts).toEqual(['One', 'Two', 'Three']);
    expect((await trip.history({ limit: 1 })).map(({ id }) => id)).toEqual(['third']);
    expect(await chat.history({ sessionId: 'trip', tenant: 'acme' })).toHaveLength(3);
    expect(await chat.history({ sessionId: 'trip' })).toEqual([]);
  });

  it('has the default tenant unless told otherwise', async () => {
    await using chat = openChat();
    await chat.session('trip').send('One');
    expect(await chat.history({ sessionId: 'trip' })).toHaveLength(1);
  });

  it('forgets its own conversation only', async () => {
    await using chat = openChat();
    const [here, there] = [chat.session('here'), chat.session('there')];
    for (const session of [here, there]) await session.send('Hi');
    expect(await here.forget()).toBe(1);
    expect(await here.history()).toEqual([]);
    expect(await there.history()).toHaveLength(1);
  });

  it('forgets one turn, or those before a date, and never all of it by mistake', async () => {
    await using chat = openChat();
    const session = chat.session('here');
    for (const turnId of ['one', 'two', 'three']) await session.send({ prompt: 'Hi', turnId });
    const mistakes = [null, 5, 'one', { before: undefined }, { turn: 'one' }, { sessionId: 'here' }];
    for (const mistake of mistakes) {
      await expect(session.forget(mistake as never)).rejects.toSatisfy(InvalidInputError.isInstance);
    }
    expect(await session.history()).toHaveLength(3);
    expect(await session.forget({ turnId: 'two' })).toBe(1);
    expect(await session.forget({ before: new Date(0) })).toBe(0);
    expect((await session.history()).map(({ id }) => id)).toEqual(['one', 'three']);
  });

  it('exports to and imports from another conversation', async () => {
    await using chat = openChat();
    const original = chat.session('original', { tenant: 'a' });
    await original.send('Hi');
    const copy = chat.session('copy', { tenant: 'b' });
    expect(await copy.import(original.export())).toBe(1);
    expect(
      (await copy.history()).map(({ prompt, sessionId, tenant }) => [prompt, sessionId, tenant]),
    ).toEqual([['Hi', 'copy', 'b']]);
  });

  it('cannot be pointed at another conversation by a request', async () => {
    await using chat = openChat();
    const request = { prompt: 'Hi', sessionId: 'other', tenant: 'other' };
    expect((await chat.session('trip').send(request)).sessionId).toBe('trip');
  });

  it('needs a name', () => {
    expect(() => openChat().session('')).toThrow(InvalidInputError);
    expect(() => openChat().session(undefined as never)).toThrow(/sessionId/);
    expect(() => openChat().session('a', { tennant: 'b' } as never)).toThrow(/tennant/);
  });
});
