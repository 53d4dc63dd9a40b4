import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WordEmbedder } from '../../../test/support/word-embedder.js';
import { MemoryError } from '../../core/errors.js';
import { makeTurn } from '../../testing/contracts/memory-store-contract.js';
import type { ReindexProgress } from '../memory-store.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };
const synonyms = [['car', 'automobile']];
const turns = 200;

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-reindex-'));
  path = join(directory, 'memory.db');
  await using store = new EmbeddedMemoryStore({ path, embedder: new WordEmbedder({ model: 'old' }) });
  const prompts = Array.from({ length: turns - 1 }, (_, n) => `number${n} heron`);
  for (const prompt of [...prompts, 'the automobile']) await store.append(makeTurn({ prompt, reply: '' }));
  await store.flush();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Vectors on disk by the name of their model. */
function vectorsByModel(): Record<string, number> {
  const database = new Database(path);
  const rows = database
    .prepare('SELECT name, count(*) AS count FROM vectors JOIN models ON model = id GROUP BY name')
    .all([]) as { name: string; count: number }[];
  database.close();
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
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

describe('EmbeddedMemoryStore.reindex', () => {
  it('embeds every turn with the current embedder, reports progress, and drops the old vectors', async () => {
    const embedder = new WordEmbedder({ model: 'new', synonyms });
    embedder.failWith = new Error('not yet');
    await using store = new EmbeddedMemoryStore({ path, embedder });
    await expect(store.reindex()).rejects.toThrow(/embedder failed/);
    embedder.failWith = undefined;
    const progress: ReindexProgress[] = [];
    await store.reindex({ onProgress: (each) => progress.push(each) });
    expect(progress.map(({ done }) => done)).toEqual([0, 64, 128, 192, 200]);
    expect(new Set(progress.map(({ total }) => total))).toEqual(new Set([turns]));
    expect(vectorsByModel()).toEqual({ new: turns });
    const [found] = await store.recall(conversation, 'car', { limit: 1 });
    expect(found?.turn.prompt).toBe('the automobile');
  });

  it('goes on where it was stopped, while recall works by words', async () => {
    const embedder = new HaltingEmbedder({ model: 'new' });
    embedder.left = 128;
    const first = new EmbeddedMemoryStore({ path, embedder, queryEmbeddingTimeoutMs: 1 });
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
    await using second = new EmbeddedMemoryStore({ path, embedder: next });
    await second.reindex();
    expect(next.embedded).toHaveLength(turns - 128);
    expect(vectorsByModel()).toEqual({ new: turns });
  });

  it('tries refused texts again, and leaves no vector of another model in their place', async () => {
    const embedder = new WordEmbedder({ model: 'new' });
    embedder.refuses = (text) => text.includes('automobile');
    await using store = new EmbeddedMemoryStore({ path, embedder });
    await store.reindex();
    expect(vectorsByModel()).toEqual({ new: turns - 1 });
    embedder.refuses = undefined;
    await store.reindex();
    expect(vectorsByModel()).toEqual({ new: turns });
  });

  it('embeds nothing twice during appends and a flush', async () => {
    const embedder = new WordEmbedder({ model: 'new' });
    await using store = new EmbeddedMemoryStore({ path, embedder });
    const appended = Array.from({ length: 20 }, (_, n) => store.append(makeTurn({ prompt: `late${n}` })));
    await Promise.all([store.reindex(), store.flush(), store.reindex(), ...appended]);
    await store.flush();
    expect(embedder.embedded).toHaveLength(turns + 20);
  });

  it('rejects without an embedder', async () => {
    await using store = new EmbeddedMemoryStore({ path });
    await expect(store.reindex()).rejects.toBeInstanceOf(MemoryError);
  });
});
