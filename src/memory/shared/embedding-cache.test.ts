import { describe, expect, it } from 'vitest';
import { WordEmbedder } from '../../../test/support/word-embedder.js';
import { EmbeddingCache } from './embedding-cache.js';

const document = { purpose: 'document' } as const;

describe('EmbeddingCache', () => {
  it('embeds a text once, and returns vectors in the order of the texts', async () => {
    const embedder = new WordEmbedder();
    const cache = new EmbeddingCache(embedder, { maxBytes: 2 ** 20 });
    const direct = await new WordEmbedder().embed(['one', 'two', 'one', 'three'], {});
    expect(await cache.embed(['one', 'two', 'one'], document)).toEqual(direct.slice(0, 3));
    expect(await cache.embed(['two', 'one', 'three'], document)).toEqual([direct[1], direct[0], direct[3]]);
    expect(embedder.embedded).toEqual(['one', 'two', 'three']);
    expect(cache.size).toBe(3);
  });

  it('keeps documents and queries apart', async () => {
    const embedder = new WordEmbedder();
    const cache = new EmbeddingCache(embedder, { maxBytes: 2 ** 20 });
    await cache.embed(['one'], document);
    await cache.embed(['one'], { purpose: 'query' });
    expect(embedder.embedded).toEqual(['one', 'one']);
  });

  it('drops the vectors used longest ago when it is full', async () => {
    const embedder = new WordEmbedder({ dimensions: 100 });
    const cache = new EmbeddingCache(embedder, { maxBytes: 2_000 });
    for (const text of ['one', 'two', 'one', 'three', 'one', 'two']) await cache.embed([text], document);
    expect(embedder.embedded).toEqual(['one', 'two', 'three', 'two']);
    expect(cache.size).toBe(2);
  });

  it('caches no failure, and nothing that was under way when it was cleared', async () => {
    const embedder = new WordEmbedder();
    const cache = new EmbeddingCache(embedder, { maxBytes: 2 ** 20 });
    embedder.failWith = new Error('out of quota');
    await expect(cache.embed(['one'], document)).rejects.toThrow('out of quota');
    embedder.failWith = undefined;
    const underWay = cache.embed(['one'], document);
    cache.clear();
    expect(await underWay).toHaveLength(1);
    expect(cache.size).toBe(0);
  });
});
