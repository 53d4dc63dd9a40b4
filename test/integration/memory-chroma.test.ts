import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { systemClock } from '../../src/core/clock.js';
import { MemoryError } from '../../src/core/errors.js';
import { makeTurn, memoryStoreContract } from '../../src/testing/contracts/memory-store-contract.js';
import { startChromaServer } from '../support/chroma-server.js';
import { WordEmbedder } from '../support/word-embedder.js';

const server = await startChromaServer();
afterAll(() => server?.stop());
const url = server?.url ?? '';
const newPrefix = () => `test-${randomUUID().slice(0, 8)}-`;
/** The number of requests that were sent during `work`. */
async function requestsOf(work: () => Promise<unknown>): Promise<number> {
  const fetches = vi.spyOn(globalThis, 'fetch');
  try {
    await work();
    return fetches.mock.calls.length;
  } finally {
    fetches.mockRestore();
  }
}

const conversation = { tenant: 'tenant', sessionId: 'session' };

describe.skipIf(!server)('ChromaMemoryStore on a real server', () => {
  describe('keeps the contract without an embedder', () => {
    const prefixes = new WeakMap<object, string>();
    const open = (collectionPrefix: string) => {
      const store = new ChromaMemoryStore({ url, collectionPrefix });
      prefixes.set(store, collectionPrefix);
      return store;
    };
    const create = async () => open(newPrefix());
    const reopen = async (store: object) => open(prefixes.get(store) ?? '');
    for (const { name, run } of memoryStoreContract(create, { reopen })) it(name, run);
  });

  describe('keeps the contract with an embedder', () => {
    const create = async () =>
      new ChromaMemoryStore({ url, collectionPrefix: newPrefix(), embedder: new WordEmbedder() });
    for (const { name, run } of memoryStoreContract(create)) it(name, run);
  });

  it('finds a turn by meaning once it is embedded, and by words while the embedder fails', async () => {
    const embedder = new WordEmbedder({ synonyms: [['car', 'automobile']] });
    await using store = new ChromaMemoryStore({ url, collectionPrefix: newPrefix(), embedder });
    for (const prompt of ['The soup was cold.', 'We sold the automobile.', 'It rained all day.']) {
      await store.append(makeTurn({ prompt, reply: '' }));
    }
    await store.flush();
    const [byMeaning] = await store.recall(conversation, 'car', { limit: 1 });
    expect(byMeaning?.turn.prompt).toBe('We sold the automobile.');

    embedder.failWith = new Error('out of quota');
    await store.append(makeTurn({ prompt: 'The bicycle is blue.', reply: '' }));
    const [byWords] = await store.recall(conversation, 'bicycle', { limit: 1 });
    expect(byWords?.turn.prompt).toBe('The bicycle is blue.');
    await expect(store.flush()).rejects.toThrow(MemoryError);
    expect((await store.stats()).pending).toBe(1);

    embedder.failWith = undefined;
    await store.flush();
    expect(await store.stats()).toMatchObject({ pending: 0, turns: 4, cacheSize: 4 });
  });

  it('embeds turns of another embedder when their conversation is read again', async () => {
    const collectionPrefix = newPrefix();
    await using before = new ChromaMemoryStore({ url, collectionPrefix });
    await before.append(makeTurn({ prompt: 'We sold the automobile.', reply: '' }));
    await before.append(makeTurn({ prompt: 'Nothing else.', reply: '' }));

    const embedder = new WordEmbedder({ synonyms: [['car', 'automobile']] });
    await using after = new ChromaMemoryStore({ url, collectionPrefix, embedder });
    await after.recall(conversation, 'car', { limit: 1 });
    await expect.poll(async () => (await after.stats()).cacheSize).toBe(2);
    await after.flush();
    const [found] = await after.recall(conversation, 'car', { limit: 1 });
    expect(found?.turn.prompt).toBe('We sold the automobile.');
  });

  it('finds by meaning what another process embeds, before and after it has copied the vectors', async () => {
    const collectionPrefix = newPrefix();
    const synonyms = [
      ['car', 'automobile'],
      ['boat', 'vessel'],
    ];
    let now = Date.now();
    const clock = { ...systemClock, now: () => now };
    const open = (options: object = {}) =>
      new ChromaMemoryStore({ url, collectionPrefix, embedder: new WordEmbedder({ synonyms }), ...options });
    await using other = open();
    await using store = open({ clock });
    const nearest = async (query: string) =>
      (await store.recall(conversation, query, { limit: 1 }))[0]?.turn.prompt;
    const embedElsewhere = async (prompt: string) => {
      await other.append(makeTurn({ prompt, reply: '' }));
      await other.flush();
    };
    for (const prompt of ['The soup was cold.', 'We sold the automobile.']) await embedElsewhere(prompt);
    expect(await nearest('car')).toBe('We sold the automobile.');
    await expect.poll(() => requestsOf(() => nearest('car'))).toBe(1);
    expect(await nearest('car')).toBe('We sold the automobile.');

    await embedElsewhere('The vessel sank.');
    expect(await nearest('sank')).toBe('The vessel sank.');
    now += 60_000;
    await expect.poll(() => nearest('boat')).toBe('The vessel sank.');
  });

  it('sends one request for a recall, even just after an append', async () => {
    await using store = new ChromaMemoryStore({
      url,
      collectionPrefix: newPrefix(),
      embedder: new WordEmbedder(),
    });
    const recall = () => store.recall(conversation, 'walrus', { limit: 3 });
    await store.append(makeTurn({ prompt: 'first walrus' }));
    await store.flush();
    await recall();
    await expect.poll(() => requestsOf(recall)).toBe(1);
    await store.append(makeTurn({ prompt: 'second walrus' }));
    await store.flush();
    expect(await requestsOf(recall)).toBe(1);
    expect(await recall()).toHaveLength(2);
  });

  it('fetches no more vectors once it is closed', async () => {
    const collectionPrefix = newPrefix();
    const open = () => new ChromaMemoryStore({ url, collectionPrefix, embedder: new WordEmbedder() });
    await using before = open();
    await Promise.all(Array.from({ length: 900 }, () => before.append(makeTurn())));
    await before.flush();
    await using plain = new ChromaMemoryStore({ url, collectionPrefix });
    await plain.recent(conversation, { limit: 1 });
    const store = open();
    await store.recall(conversation, 'France', { limit: 1 });
    await store.close();
    const requests = await requestsOf(async () => {
      for (let n = 0; n < 9; n += 1) await plain.recent(conversation, { limit: 1 });
    });
    // One each, and the one under way; nine more if it had gone on.
    expect(requests).toBeLessThan(12);
  });

  it('removes the vectors of forgotten turns, of every embedder', async () => {
    const collectionPrefix = newPrefix();
    const embedders = ['one', 'two'].map((model) => new WordEmbedder({ model }));
    const stores = embedders.map((embedder) => new ChromaMemoryStore({ url, collectionPrefix, embedder }));
    await stores[0]?.append(makeTurn());
    await stores[0]?.flush();
    await stores[1]?.append(makeTurn());
    await stores[1]?.flush();
    expect(await stores[0]?.forget(conversation)).toBe(2);
    for (const store of stores) {
      expect((await store.stats()).cacheSize).toBe(0);
      await store.close();
    }
  });

  it('keeps no summary of turns that another process forgets', async () => {
    const collectionPrefix = newPrefix();
    await using store = new ChromaMemoryStore({ url, collectionPrefix });
    await using other = new ChromaMemoryStore({ url, collectionPrefix });
    const turns = [1, 2, 3].map((day) => makeTurn({ createdAt: Date.UTC(2026, 0, day) }));
    for (const turn of turns) await store.append(turn);
    const summaryOf = (count: number) => ({
      text: 'They spoke of France.',
      turns: count,
      lastTurn: turns[count - 1]?.id ?? '',
      until: turns[count - 1]?.createdAt ?? 0,
    });
    expect(await store.summaries.keep(conversation, summaryOf(2))).toBe(true);
    expect(await other.summaries.read(conversation)).toEqual(summaryOf(2));
    await other.forget({ before: new Date(Date.UTC(2026, 0, 2)) });
    expect(await store.summaries.read(conversation)).toBeUndefined();
    expect(await store.summaries.keep(conversation, summaryOf(3))).toBe(false);
    expect(await other.summaries.read(conversation)).toBeUndefined();
  });

  it('drops a summary that was written while its turns were being forgotten', async () => {
    const collectionPrefix = newPrefix();
    await using store = new ChromaMemoryStore({ url, collectionPrefix });
    await using other = new ChromaMemoryStore({ url, collectionPrefix });
    for (let round = 0; round < 10; round += 1) {
      const turn = makeTurn();
      await store.append(turn);
      const summary = { text: 'Secret.', turns: 1, lastTurn: turn.id, until: turn.createdAt };
      await Promise.all([other.summaries.keep(conversation, summary), store.forget(conversation)]);
      expect(await store.summaries.read(conversation)).toBeUndefined();
    }
  });

  it('keeps the order of a conversation when the clock goes back', async () => {
    const collectionPrefix = newPrefix();
    const at = (hour: number) => ({
      now: () => Date.UTC(2026, 0, 1, hour),
      setTimeout,
      clearTimeout: (handle: unknown) => clearTimeout(handle as NodeJS.Timeout),
    });
    await using first = new ChromaMemoryStore({ url, collectionPrefix, clock: at(12) });
    for (const prompt of ['one', 'two']) await first.append(makeTurn({ prompt }));
    await using second = new ChromaMemoryStore({ url, collectionPrefix, clock: at(9) });
    for (const prompt of ['three', 'four']) await second.append(makeTurn({ prompt }));
    const kept = await second.recent(conversation, { limit: 9 });
    expect(kept.map(({ prompt }) => prompt)).toEqual(['one', 'two', 'three', 'four']);
  });
});

describe('ChromaMemoryStore without a server', () => {
  it('names the address and what to check in its error', async () => {
    await using store = new ChromaMemoryStore({ url: 'http://127.0.0.1:9' });
    await expect(store.append(makeTurn())).rejects.toThrow(
      /cannot be reached at http:\/\/127\.0\.0\.1:9\. Is it running .* CHROMA_URL/,
    );
    await expect(store.recall(conversation, 'x', { limit: 1 })).rejects.toThrow(MemoryError);
  });

  it('refuses an address that is no URL', () => {
    expect(() => new ChromaMemoryStore({ url: 'localhost:8000' })).toThrow(/CHROMA_URL/);
  });
});

describe.skipIf(!server)('A Chroma server that is killed', () => {
  it('has every acknowledged turn after its restart, and the store finds it again by itself', async () => {
    if (!server) return;
    await using store = new ChromaMemoryStore({ url, collectionPrefix: newPrefix() });
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const writes = Array.from({ length: 20 }, (_, n) => {
        const turn = makeTurn({ prompt: `round ${round} turn ${n}` });
        return store.append(turn).then(
          () => acknowledged.push(turn.id),
          () => undefined,
        );
      });
      await writes[0];
      await server.kill();
      await Promise.all(writes);
      await server.restart();
    }
    const kept = new Set((await store.recent(conversation, { limit: 999 })).map(({ id }) => id));
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
  });
});
