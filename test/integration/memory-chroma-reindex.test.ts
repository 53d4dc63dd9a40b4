import { randomUUID } from 'node:crypto';
import { ChromaClient } from 'chromadb';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { MemoryError } from '../../src/core/errors.js';
import type { ReindexProgress } from '../../src/memory/memory-store.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';
import { startChromaServer } from '../support/chroma-server.js';
import { WordEmbedder } from '../support/word-embedder.js';

const server = await startChromaServer();
afterAll(() => server?.stop());
const url = server?.url ?? '';
const conversation = { tenant: 'tenant', sessionId: 'session' };
const turns = 200;

let collectionPrefix: string;
const open = (embedder?: WordEmbedder, options: object = {}) =>
  new ChromaMemoryStore({ url, collectionPrefix, embedder, ...options });

/** Vectors on the server by the name of their model. */
async function vectorsByModel(): Promise<Record<string, number>> {
  const client = new ChromaClient({ host: '127.0.0.1', port: Number(new URL(url).port) });
  const collections = await client.listCollections({ limit: 1_000 });
  const ours = collections.filter(({ name }) => name.startsWith(`${collectionPrefix}vectors-`));
  const counts = await Promise.all(
    ours.map(async (collection) => [collection.metadata?.embedding_model, await collection.count()]),
  );
  return Object.fromEntries(counts);
}

/** Serves a number of texts, then waits for its signal. */
class HaltingEmbedder extends WordEmbedder {
  left = 0;

  override embed(texts: readonly string[], options: { readonly signal?: AbortSignal | undefined }) {
    this.left -= texts.length;
    this.hang = this.left < 0;
    return super.embed(texts, options);
  }
}

describe.skipIf(!server)('ChromaMemoryStore.reindex', () => {
  beforeEach(async () => {
    collectionPrefix = `reindex-${randomUUID().slice(0, 8)}-`;
    await using store = open(new WordEmbedder({ model: 'old' }));
    const prompts = Array.from({ length: turns - 1 }, (_, n) => `number${n} heron`);
    const appends = [...prompts, 'the automobile'].map((prompt, n) =>
      store.append(makeTurn({ prompt, reply: '', sessionId: n % 2 === 0 ? 'other' : 'session' })),
    );
    await Promise.all(appends);
    await store.flush();
  });

  it('embeds every turn of every conversation, reports progress, and drops the old vectors', async () => {
    const embedder = new WordEmbedder({ model: 'new', synonyms: [['car', 'automobile']] });
    embedder.failWith = new Error('not yet');
    await using store = open(embedder);
    await expect(store.reindex()).rejects.toThrow(/embedder failed/);
    expect(await vectorsByModel()).toEqual({ old: turns, new: 0 });
    embedder.failWith = undefined;
    const progress: ReindexProgress[] = [];
    await store.reindex({ onProgress: (each) => progress.push(each) });
    expect(progress.map(({ done }) => done)).toEqual([0, 64, 128, 192, 200]);
    expect(new Set(progress.map(({ total }) => total))).toEqual(new Set([turns]));
    expect(await vectorsByModel()).toEqual({ new: turns });
    const [found] = await store.recall(conversation, 'car', { limit: 1 });
    expect(found?.turn.prompt).toBe('the automobile');
  });

  it('goes on where it was stopped, while recall works by words', async () => {
    const embedder = new HaltingEmbedder({ model: 'new' });
    embedder.left = 128;
    const first = open(embedder, { queryEmbeddingTimeoutMs: 1 });
    const stop = new AbortController();
    const reindexing = first.reindex({
      signal: stop.signal,
      onProgress: ({ done }) => {
        if (done === 128) stop.abort(new Error('enough'));
      },
    });
    await expect(reindexing).rejects.toThrow('enough');
    const [found] = await first.recall(conversation, 'automobile', { limit: 1 });
    expect(found?.turn.prompt).toBe('the automobile');
    await first.close();
    const next = new WordEmbedder({ model: 'new' });
    await using second = open(next);
    await second.reindex();
    expect(next.embedded).toHaveLength(turns - 128);
    expect(await vectorsByModel()).toEqual({ new: turns });
  });

  it('tries refused texts again', async () => {
    const embedder = new WordEmbedder({ model: 'new' });
    embedder.refuses = (text) => text.includes('automobile');
    await using store = open(embedder);
    await store.reindex();
    expect(await vectorsByModel()).toEqual({ new: turns - 1 });
    embedder.refuses = undefined;
    await store.reindex();
    expect(await vectorsByModel()).toEqual({ new: turns });
  });

  it('embeds nothing twice during appends and a flush', async () => {
    const embedder = new WordEmbedder({ model: 'new' });
    await using store = open(embedder);
    const appended = Array.from({ length: 20 }, (_, n) => store.append(makeTurn({ prompt: `late${n}` })));
    await Promise.all([store.reindex(), store.flush(), store.reindex(), ...appended]);
    await store.flush();
    expect(new Set(embedder.embedded).size).toBe(turns + 20);
    expect(embedder.embedded).toHaveLength(turns + 20);
    expect(await vectorsByModel()).toEqual({ new: turns + 20 });
  });

  it('leaves no vector of turns that are forgotten meanwhile, and misses no other turn', async () => {
    const embedder = new WordEmbedder({ model: 'new' });
    await using store = open(embedder);
    let forgetting: Promise<number> | undefined;
    await store.reindex({
      onProgress: ({ done }) => {
        if (done >= 64) forgetting ??= store.forget({ tenant: 'tenant', sessionId: 'other' });
      },
    });
    expect(await forgetting).toBe(turns / 2);
    expect(await vectorsByModel()).toEqual({ new: turns / 2 });
  });

  it('reaches the turns of more than one page', async () => {
    await using before = open();
    const more = Array.from({ length: 900 }, (_, n) => before.append(makeTurn({ prompt: `more${n}` })));
    await Promise.all(more);
    await using store = open(new WordEmbedder({ model: 'new' }));
    const progress: ReindexProgress[] = [];
    await store.reindex({ onProgress: (each) => progress.push(each) });
    expect(progress.at(-1)).toEqual({ done: turns + 900, total: turns + 900 });
    expect(await vectorsByModel()).toEqual({ new: turns + 900 });
  });

  it('rejects without an embedder', async () => {
    await using store = open();
    await expect(store.reindex()).rejects.toBeInstanceOf(MemoryError);
  });
});
