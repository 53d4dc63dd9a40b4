import { createHash, randomUUID } from 'node:crypto';
import { ChromaClient } from 'chromadb';
import { afterAll, describe, expect, it } from 'vitest';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { MemoryError } from '../../src/core/errors.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';
import { startChromaServer } from '../support/chroma-server.js';
import { startChromaStub } from '../support/chroma-stub.js';
import { WordEmbedder } from '../support/word-embedder.js';

const server = await startChromaServer();
afterAll(() => server?.stop());
const url = server?.url ?? '';
const conversation = { tenant: 'tenant', sessionId: 'session' };
const newPrefix = () => `faults-${randomUUID().slice(0, 8)}-`;
const connect = () => new ChromaClient({ host: '127.0.0.1', port: Number(new URL(url).port) });

describe('Requests to Chroma', () => {
  it('carry tenant, database and token', async () => {
    await using stub = await startChromaStub();
    const address = { tenant: 'acme', database: 'chats', token: 'secret-token' };
    await using store = new ChromaMemoryStore({ url: stub.url, ...address });
    await store.append(makeTurn());
    expect(stub.seen.length).toBeGreaterThan(1);
    expect(new Set(stub.seen.map(({ headers }) => headers['x-chroma-token']))).toEqual(
      new Set(['secret-token']),
    );
    const scoped = stub.seen.filter(({ path }) => !path.endsWith('/pre-flight-checks'));
    for (const { path } of scoped) expect(path).toMatch(/^\/api\/v2\/tenants\/acme\/databases\/chats\//);
  });

  it('never show the token in an error', async () => {
    await using stub = await startChromaStub(() => ({
      status: 401,
      body: { message: 'who is secret-token?' },
    }));
    await using store = new ChromaMemoryStore({ url: stub.url, token: 'secret-token' });
    const error = await store.append(makeTurn()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MemoryError);
    expect((error as MemoryError).message).toMatch(/refused the token/);
    expect((error as MemoryError).message).not.toContain('secret-token');
  });

  it('are repeated after a 5xx and after a 429, without a second copy of the turn', async () => {
    const failures = [503, 429, 500];
    await using stub = await startChromaStub(({ path }) => {
      const status = path.endsWith('/add') ? failures.shift() : undefined;
      return status === undefined ? undefined : { status, body: { message: 'busy' } };
    });
    await using store = new ChromaMemoryStore({ url: stub.url });
    await store.append(makeTurn());
    const adds = stub.seen.filter(({ path }) => path.endsWith('/add')).map(({ body }) => body);
    expect(adds).toHaveLength(4);
    expect(new Set(adds).size).toBe(1);
  });

  it('carry together the turns that are appended at once', async () => {
    await using stub = await startChromaStub();
    await using store = new ChromaMemoryStore({ url: stub.url });
    await store.append(makeTurn());
    const before = stub.seen.length;
    await Promise.all(Array.from({ length: 100 }, () => store.append(makeTurn())));
    expect(stub.seen.length - before).toBeLessThanOrEqual(2);
  });

  it('are one for an append and one for a recall by words', async () => {
    await using stub = await startChromaStub();
    await using store = new ChromaMemoryStore({ url: stub.url });
    await store.append(makeTurn());
    const before = stub.seen.length;
    await store.append(makeTurn());
    expect(stub.seen.length - before).toBe(1);
    await store.recall(conversation, 'France', { limit: 3 });
    expect(stub.seen.length - before).toBe(2);
  });
});

describe('Vectors that cannot be read', () => {
  it('are named in the statistics, and turns are found by their words', { timeout: 20_000 }, async () => {
    let stored = {};
    await using stub = await startChromaStub(({ body, path }) => {
      if (path.endsWith('/count')) return { status: 200, body: 1 as unknown as object };
      if (path.endsWith('/add') && body.includes('"documents":["')) stored = JSON.parse(body);
      if (!path.endsWith('/get')) return undefined;
      // Turns are read by their conversation, vectors by their ids.
      if (body.includes('"ids":["')) return { status: 400, body: { message: 'no such segment' } };
      return { status: 200, body: { ...stored, include: ['documents', 'metadatas'] } };
    });
    await using store = new ChromaMemoryStore({ url: stub.url, embedder: new WordEmbedder() });
    expect((await store.stats()).lastError).toBeNull();
    await store.append(makeTurn({ prompt: 'a walrus' }));
    const [found] = await store.recall(conversation, 'walrus', { limit: 1 });
    expect(found?.turn.prompt).toBe('a walrus');
    await expect
      .poll(async () => (await store.stats()).lastError, { timeout: 15_000 })
      .toMatchObject({ message: expect.stringContaining('no such segment'), at: expect.any(Number) });
  });
});

describe.skipIf(!server)('ChromaMemoryStore, if its server', () => {
  it('is restarted, finds it again by itself', async () => {
    if (!server) return;
    await using store = new ChromaMemoryStore({ url, collectionPrefix: newPrefix() });
    await store.append(makeTurn({ prompt: 'before' }));
    await store.recent(conversation, { limit: 1 });
    await server.kill();
    await expect(store.append(makeTurn({ prompt: 'meanwhile' }))).rejects.toThrow(/cannot be reached/);
    await server.restart();
    await store.append(makeTurn({ prompt: 'after' }));
    const kept = await store.recent(conversation, { limit: 9 });
    expect(kept.map(({ prompt }) => prompt)).toEqual(['before', 'after']);
  });

  it('loses its collections, creates them again, without earlier turns', async () => {
    const collectionPrefix = newPrefix();
    const embedder = new WordEmbedder();
    await using store = new ChromaMemoryStore({ url, collectionPrefix, embedder });
    await store.append(makeTurn({ prompt: 'lost walrus' }));
    await store.flush();
    await store.recall(conversation, 'walrus', { limit: 9 });
    const client = connect();
    for (const { name } of await client.listCollections()) {
      if (name.startsWith(collectionPrefix)) await client.deleteCollection({ name });
    }
    await store.append(makeTurn({ prompt: 'new walrus' }));
    await store.flush();
    const found = await store.recall(conversation, 'walrus', { limit: 9 });
    expect(found.map(({ turn }) => turn.prompt)).toEqual(['new walrus']);
    expect(await store.stats()).toMatchObject({ turns: 1, cacheSize: 1, pending: 0 });
  });
});

describe.skipIf(!server)('Vectors of another origin', () => {
  const embedder = new WordEmbedder();
  const { dimensions, model } = embedder;
  const hash = createHash('sha256').update(`${dimensions} ${model}`).digest('hex').slice(0, 24);

  it.each([
    [
      'made by another model',
      { metadata: { embedding_model: 'other', embedding_dimensions: 64 } },
      /holds vectors of other with 64 numbers, but the embedder is word-embedder with 64/,
    ],
    [
      'of another size',
      { metadata: { embedding_model: model, embedding_dimensions: 48 } },
      /holds vectors of word-embedder with 48 numbers/,
    ],
    ['in another space', { configuration: { hnsw: { space: 'l2' as const } } }, /by l2, not by cosine/],
  ])('are refused with what to do when they are %s', async (_, made, sentence) => {
    const collectionPrefix = newPrefix();
    const name = `${collectionPrefix}vectors-${hash}`;
    await connect().createCollection({ name, embeddingFunction: null, ...made });
    await using store = new ChromaMemoryStore({ url, collectionPrefix, embedder });
    await store.append(makeTurn({ prompt: 'a walrus' }));
    await expect(store.stats()).rejects.toThrow(sentence);
    await expect(store.flush()).rejects.toThrow(MemoryError);
    const [found] = await store.recall(conversation, 'walrus', { limit: 1 });
    expect(found?.turn.prompt).toBe('a walrus');
  });

  it('are refused with both sizes if the collection does not name its own', async () => {
    const collectionPrefix = newPrefix();
    const name = `${collectionPrefix}vectors-${hash}`;
    const configuration = { hnsw: { space: 'cosine' as const } };
    const collection = await connect().createCollection({ name, embeddingFunction: null, configuration });
    await collection.add({ ids: ['old'], embeddings: [[1, 2, 3]], metadatas: [{ made: 'by hand' }] });
    await using store = new ChromaMemoryStore({ url, collectionPrefix, embedder });
    await store.append(makeTurn());
    const error = await store.flush().catch((reason: unknown) => reason);
    expect(((error as MemoryError).cause as MemoryError).message).toMatch(
      /holds vectors of 3 numbers, but the embedder gave one of 64/,
    );
  });
});
