import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WordEmbedder } from '../../../test/support/word-embedder.js';
import { MemoryError } from '../../core/errors.js';
import { makeTurn, memoryStoreContract } from '../../testing/contracts/memory-store-contract.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };
const synonyms = [['car', 'automobile']];

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-memory-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
const file = () => join(directory, 'deep', 'memory.db');

const createOnDisk = async () => new EmbeddedMemoryStore({ path: file() });

describe('EmbeddedMemoryStore on disk', () => {
  for (const { name, run } of memoryStoreContract(createOnDisk, { reopen: createOnDisk })) it(name, run);
});

describe('EmbeddedMemoryStore in memory', () => {
  const create = async () => new EmbeddedMemoryStore({ path: ':memory:' });
  for (const { name, run } of memoryStoreContract(create)) it(name, run);
});

describe('EmbeddedMemoryStore with an embedder', () => {
  const create = async () => new EmbeddedMemoryStore({ path: file(), embedder: new WordEmbedder() });
  for (const { name, run } of memoryStoreContract(create, { reopen: create })) it(name, run);
});

describe('The file of an EmbeddedMemoryStore', () => {
  it('is not created by reading', async () => {
    await using store = new EmbeddedMemoryStore({ path: file() });
    await store.recent(conversation, { limit: 1 });
    await store.recall(conversation, 'x', { limit: 1 });
    await store.forget(conversation);
    await store.flush();
    expect((await store.stats()).turns).toBe(0);
    expect(existsSync(join(directory, 'deep'))).toBe(false);
  });

  it('holds nothing of what was forgotten', async () => {
    await using store = new EmbeddedMemoryStore({ path: file(), embedder: new WordEmbedder() });
    await store.append(makeTurn({ prompt: 'The password is Rumpelstiltskin.', reply: 'x'.repeat(20_000) }));
    await store.append(makeTurn({ sessionId: 'kept', prompt: 'Nothing secret.' }));
    await store.flush();
    await store.forget(conversation);
    for (const name of await readdir(join(directory, 'deep'))) {
      const bytes = await readFile(join(directory, 'deep', name));
      expect(bytes.includes('Rumpelstiltskin'), name).toBe(false);
      expect(bytes.includes('xxxxxxxx'), name).toBe(false);
    }
  });

  it.each([
    ['text', () => Buffer.from('This is no database. '.repeat(400)), /damaged or not a memory database/],
    ['a database with torn pages', tornDatabase, /damaged/],
  ])('is refused with advice if it is %s', async (_, content, sentence) => {
    const path = join(directory, 'memory.db');
    await writeFile(path, await content());
    await using store = new EmbeddedMemoryStore({ path });
    const read = async () => {
      await store.recent(conversation, { limit: 1_000 });
      await store.recall(conversation, 'number', { limit: 1_000 });
    };
    await expect(read()).rejects.toThrow(sentence);
    await expect(read()).rejects.toBeInstanceOf(MemoryError);
  });

  it('is refused if it belongs to another program', async () => {
    const path = join(directory, 'other.db');
    const { default: Database } = await import('libsql');
    const other = new Database(path);
    other.exec('CREATE TABLE customers (name TEXT)');
    other.close();
    await using store = new EmbeddedMemoryStore({ path });
    await expect(store.append(makeTurn())).rejects.toThrow(/another program/);
  });

  it('is refused if a newer version wrote it', async () => {
    const path = join(directory, 'newer.db');
    await using first = new EmbeddedMemoryStore({ path });
    await first.append(makeTurn());
    await first.close();
    const { default: Database } = await import('libsql');
    const database = new Database(path);
    database.exec('PRAGMA user_version = 999');
    database.close();
    await using store = new EmbeddedMemoryStore({ path });
    await expect(store.recent(conversation, { limit: 1 })).rejects.toThrow(/newer version/);
  });

  it('is refused if its directory cannot be created', async () => {
    await writeFile(join(directory, 'file'), '');
    await using store = new EmbeddedMemoryStore({ path: join(directory, 'file', 'memory.db') });
    await expect(store.append(makeTurn())).rejects.toThrow(/Choose another path/);
  });

  async function tornDatabase(): Promise<Buffer> {
    const path = join(directory, 'torn.db');
    const store = new EmbeddedMemoryStore({ path });
    await Promise.all(
      Array.from({ length: 300 }, (_, n) => store.append(makeTurn({ prompt: `number ${n} `.repeat(50) }))),
    );
    await store.close();
    const bytes = await readFile(path);
    bytes.fill(0xab, 4096 * 8);
    return bytes;
  }
});

describe('The embeddings of an EmbeddedMemoryStore', () => {
  const prompts = ['The soup was cold.', 'We sold the automobile.', 'It rained all day.'];

  it('find a turn by meaning, even after a restart', async () => {
    // In the index, and in the cache of what was embedded since the start.
    const cacheSizes = [3 + 4, 3 + 1];
    for (const [run, appended] of [prompts, []].entries()) {
      const embedder = new WordEmbedder({ synonyms });
      await using store = new EmbeddedMemoryStore({ path: file(), embedder });
      for (const prompt of appended) await store.append(makeTurn({ prompt, reply: '' }));
      await store.flush();
      const [found] = await store.recall(conversation, 'car', { limit: 1 });
      expect(found?.turn.prompt).toBe('We sold the automobile.');
      expect(await store.stats()).toMatchObject({ cacheSize: cacheSizes[run], pending: 0 });
    }
  });

  it('lag behind while the embedder fails, without losing anything, and are made when it is back', async () => {
    const embedder = new WordEmbedder({ synonyms });
    embedder.failWith = new Error('out of quota');
    await using store = new EmbeddedMemoryStore({ path: file(), embedder });
    for (const prompt of prompts) await store.append(makeTurn({ prompt, reply: '' }));
    await expect(store.flush()).rejects.toThrow(/embedder failed/);
    expect((await store.stats()).pending).toBe(3);
    const [byWord] = await store.recall(conversation, 'automobile', { limit: 1 });
    expect(byWord?.turn.prompt).toBe('We sold the automobile.');
    embedder.failWith = undefined;
    await store.flush();
    expect((await store.stats()).pending).toBe(0);
    const [byMeaning] = await store.recall(conversation, 'car', { limit: 1 });
    expect(byMeaning?.turn.prompt).toBe('We sold the automobile.');
  });

  it('are made for all other turns when one is refused', async () => {
    const embedder = new WordEmbedder({ synonyms });
    embedder.refuses = (text) => text.includes('soup');
    await using store = new EmbeddedMemoryStore({ path: file(), embedder });
    for (const prompt of prompts) await store.append(makeTurn({ prompt, reply: '' }));
    await store.flush();
    expect((await store.stats()).pending).toBe(1);
  });

  it('are made again when the embedder changes, and never mixed', async () => {
    await using before = new EmbeddedMemoryStore({ path: file(), embedder: new WordEmbedder() });
    for (const prompt of prompts) await before.append(makeTurn({ prompt, reply: '' }));
    await before.flush();
    await before.close();
    const embedder = new WordEmbedder({ model: 'other', dimensions: 48, synonyms });
    await using after = new EmbeddedMemoryStore({ path: file(), embedder });
    await after.flush();
    expect(embedder.embedded).toEqual(prompts);
    const [found] = await after.recall(conversation, 'car', { limit: 1 });
    expect(found?.turn.prompt).toBe('We sold the automobile.');
  });

  it('do not delay a recall when the embedder hangs', async () => {
    const embedder = new WordEmbedder();
    await using store = new EmbeddedMemoryStore({
      path: file(),
      embedder,
      queryEmbeddingTimeoutMs: 5,
    });
    await store.append(makeTurn({ prompt: 'a zeppelin' }));
    embedder.hang = true;
    const [found] = await store.recall(conversation, 'zeppelin', { limit: 1 });
    expect(found?.turn.prompt).toBe('a zeppelin');
  });

  it('let the caller stop a recall that waits for them', async () => {
    const embedder = new WordEmbedder();
    await using store = new EmbeddedMemoryStore({
      path: file(),
      embedder,
      queryEmbeddingTimeoutMs: 60_000,
    });
    await store.append(makeTurn());
    embedder.hang = true;
    const abort = new AbortController();
    const recall = store.recall(conversation, 'zeppelin', { limit: 1, signal: abort.signal });
    abort.abort(new Error('gone'));
    await expect(recall).rejects.toThrow('gone');
  });
});

describe('EmbeddedMemoryStore.close', () => {
  it('rejects a flush and a recall that are still waiting with a ClosedError', async () => {
    const embedder = new WordEmbedder();
    await using store = new EmbeddedMemoryStore({ path: file(), embedder });
    await store.append(makeTurn());
    await store.flush();
    embedder.hang = true;
    await store.append(makeTurn());
    const waiting = [store.flush(), store.recall(conversation, 'capital', { limit: 1 })];
    const outcomes = Promise.allSettled(waiting);
    await Promise.resolve();
    await store.close();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'ClosedError' } });
    }
  });
});
