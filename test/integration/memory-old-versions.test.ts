import { randomUUID } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importSession } from '../../src/chat/transcript-transfer.js';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { type Turn, type TurnRecord, toTurn } from '../../src/core/turn.js';
import { InProcessMediaArchive } from '../../src/memory/archive/in-process-media-archive.js';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import type { MemoryStore } from '../../src/memory/memory-store.js';
import { InMemoryStore } from '../../src/testing/in-memory-store.js';
import { startChromaServer } from '../support/chroma-server.js';
import { WordEmbedder } from '../support/word-embedder.js';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/version-0.1/${name}`, import.meta.url));
const readJson = async (name: string) => JSON.parse(await readFile(fixture(name), 'utf8'));

const records = (await readJson('turns.json')) as TurnRecord[];
const trip = { tenant: 'acme', sessionId: 'trip' };
const turnsOf = (tenant: string, sessionId: string) =>
  records.filter((turn) => turn.tenant === tenant && turn.sessionId === sessionId).map(toTurn);
const firstTurn = records[0] as TurnRecord & { replyParts: unknown[] };

const makeEmbedder = () => new WordEmbedder({ dimensions: 16, synonyms: [['car', 'automobile']] });
const server = await startChromaServer();
afterAll(() => server?.stop());

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'old-version-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function openEmbedded(embedder = makeEmbedder()): Promise<MemoryStore> {
  const path = join(directory, 'memory.db');
  await copyFile(fixture('memory.db'), path);
  return new EmbeddedMemoryStore({ path, embedder });
}

interface OldCollection {
  readonly name: string;
  readonly metadata?: Record<string, string | number>;
  readonly records: readonly {
    readonly id: string;
    readonly document: string | null;
    readonly embedding: number[];
    readonly metadata: Record<string, string | number>;
  }[];
}

async function openChroma(embedder = makeEmbedder()): Promise<MemoryStore> {
  const { ChromaClient } = await import('chromadb');
  const url = server?.url ?? '';
  const client = new ChromaClient({ host: '127.0.0.1', port: Number(new URL(url).port) });
  const collectionPrefix = `test-${randomUUID().slice(0, 8)}-`;
  for (const { name, metadata, records } of (await readJson('chroma.json')) as OldCollection[]) {
    const collection = await client.createCollection({
      name: `${collectionPrefix}${name}`,
      embeddingFunction: null,
      configuration: { hnsw: { space: 'cosine' } },
      ...(metadata && { metadata }),
    });
    const documents = records.flatMap(({ document }) => document ?? []);
    await collection.add({
      ids: records.map(({ id }) => id),
      embeddings: records.map(({ embedding }) => embedding),
      metadatas: records.map((record) => record.metadata),
      ...(documents.length > 0 && { documents }),
    });
  }
  return new ChromaMemoryStore({ url, collectionPrefix, embedder });
}

describe.each([
  ['an EmbeddedMemoryStore', openEmbedded, true],
  ['a ChromaMemoryStore', openChroma, server !== undefined],
] as const)('What version 0.1 wrote with %s', (_, open, isRunnable) => {
  it.runIf(isRunnable)('comes back as turns made of messages', async () => {
    await using store = asDisposable(await open());
    for (const [tenant, sessionId] of [
      ['acme', 'trip'],
      ['acme', 'office'],
      ['globex', 'trip'],
    ] as const) {
      const kept = await store.recent({ tenant, sessionId }, { limit: 99 });
      expect(kept).toStrictEqual(turnsOf(tenant, sessionId));
    }
    const [turn] = await store.recent(trip, { limit: 5 });
    expect(turn?.messages).toStrictEqual([
      {
        role: 'user',
        parts: [
          { type: 'media', media: firstTurn.media?.[0] },
          { type: 'text', text: 'What happens in this clip?' },
        ],
      },
      {
        role: 'assistant',
        parts: [{ type: 'text', text: 'A boat leaves the harbour.' }],
        origin: { provider: 'google', model: 'gemini-3.8-flash' },
        providerMetadata: { google: { parts: firstTurn.replyParts } },
      },
    ]);
  });

  it.runIf(isRunnable)(
    'is found by words, by names of attachments, and by the vectors of that time',
    async () => {
      const embedder = makeEmbedder();
      await using store = asDisposable(await open(embedder));
      const find = async (query: string) => (await store.recall(trip, query, { limit: 1 }))[0]?.turn;
      expect(await find('tortoise')).toStrictEqual(turnsOf('acme', 'trip')[3]);
      expect((await find('fence.jpg'))?.id).toBe('trip-2');
      expect((await find('car'))?.id).toBe('trip-3');
      expect((await store.recall({ ...trip, tenant: 'globex' }, 'zeppelin', { limit: 9 }))[0]?.turn.id).toBe(
        'g-1',
      );
      expect((await store.stats()).pending).toBe(0);
      expect(embedder.embedded).not.toContain(records[3]?.prompt);
    },
  );

  it.runIf(isRunnable)('has its summary, and takes new turns after it', async () => {
    await using store = asDisposable(await open());
    expect(await store.summaries?.read(trip)).toEqual({
      text: 'A clip of a boat, and a fence.',
      turns: 2,
      lastTurn: 'trip-2',
      until: records[1]?.createdAt,
    });
    const next = toTurn({
      ...trip,
      id: 'trip-6',
      parentId: 'trip-5',
      createdAt: Date.UTC(2026, 10, 25),
      messages: [
        { role: 'user', parts: [{ type: 'text', text: 'Where is the walrus?' }] },
        {
          role: 'assistant',
          parts: [{ type: 'tool-call', callId: 'c1', name: 'find', input: { what: 'walrus' } }],
        },
        {
          role: 'tool',
          parts: [{ type: 'tool-result', callId: 'c1', name: 'find', output: 'On the beach' }],
        },
        { role: 'assistant', parts: [{ type: 'text', text: 'On the beach.' }] },
      ],
    });
    await store.append(next);
    await store.append({ ...(turnsOf('acme', 'trip')[0] as Turn), reply: 'changed' });
    const expected = [...turnsOf('acme', 'trip'), next];
    expect(await store.recent(trip, { limit: 99 })).toStrictEqual(expected);
    expect(await store.summaries?.turnsAfterSummary(trip, { limit: 99 })).toStrictEqual(expected.slice(2));
    expect((await store.recall(trip, 'walrus', { limit: 1 }))[0]?.turn).toStrictEqual(next);
  });

  it.runIf(isRunnable)('can be forgotten', async () => {
    await using store = asDisposable(await open());
    expect(await store.forget({ before: new Date(records[1]?.createdAt ?? 0) })).toBe(1);
    expect(await store.summaries?.read(trip)).toBeUndefined();
    expect(await store.recent(trip, { limit: 99 })).toStrictEqual(turnsOf('acme', 'trip').slice(1));
    expect(await store.forget(trip)).toBe(4);
    expect(await store.recall(trip, 'tortoise', { limit: 9 })).toEqual([]);
    expect(await store.recent({ ...trip, sessionId: 'office' }, { limit: 9 })).toHaveLength(1);
    await store.forget({ tenant: 'acme' });
    expect(await store.recent({ ...trip, tenant: 'globex' }, { limit: 9 })).toHaveLength(1);
  });
});

describe('The database that version 0.1 wrote', () => {
  it('ranks a long session whose term blocks are dropped', async () => {
    await using store = asDisposable(await openEmbedded());
    const long = { tenant: 'acme', sessionId: 'long' };
    expect(await store.recent(long, { limit: 99 })).toHaveLength(70);
    for (const n of [3, 68]) {
      expect((await store.recall(long, `number${n}`, { limit: 1 }))[0]?.turn.id).toBe(`long-${n}`);
    }
  });

  it('is marked once opened, so that version 0.1 refuses it', async () => {
    await using store = asDisposable(await openEmbedded());
    await store.recent(trip, { limit: 1 });
    const { default: Database } = await import('libsql');
    const database = new Database(join(directory, 'memory.db'));
    expect(database.pragma('user_version')).toEqual([{ user_version: 8 }]);
    database.close();
  });
});

describe.each([5, 6])('The database that schema %i wrote', (schema) => {
  it('opens, and its turns are found, replaced, forgotten and followed by others', async () => {
    const path = join(directory, 'memory.db');
    const name = `../fixtures/earlier-schemas/schema-${schema}.db`;
    await copyFile(fileURLToPath(new URL(name, import.meta.url)), path);
    const of = (sessionId: string) => ({ tenant: 'acme', sessionId });
    const idsOf = async (store: MemoryStore, sessionId: string) =>
      (await store.recent(of(sessionId), { limit: 99 })).map(({ id }) => id);
    const make = (sessionId: string, id: string, prompt: string) =>
      toTurn({ ...of(sessionId), id, createdAt: 3_000, prompt, reply: 'r' });
    {
      await using store = new EmbeddedMemoryStore({ path });
      expect(await idsOf(store, 'long')).toEqual(Array.from({ length: 70 }, (_, n) => `${n}`));
      expect(await idsOf(store, 'late')).toEqual(['6']);
      const [call] = await store.recent({ tenant: 'globex', sessionId: 'short' }, { limit: 9 });
      expect(call?.messages[1]?.parts[0]).toMatchObject({ type: 'tool-call', input: { a: 1 } });
      for (const n of [3, 68]) {
        const [found] = await store.recall(of('long'), `number${n}`, { limit: 1 });
        expect(found?.turn.id).toBe(`${n}`);
      }
      const listed = await store.sessions('acme', { limit: 9 });
      expect(listed.map(({ sessionId, turns }) => [sessionId, turns]).sort()).toEqual([
        ['late', 1],
        ['long', 70],
        ['short', 3],
      ]);
      for (const { firstAt, lastAt } of listed) expect(0 < firstAt && firstAt <= lastAt).toBe(true);
      await store.append(make('late', '8', 'heron'));
      await store.append(make('short', '1', 'heron'), { replace: true });
      expect(await store.forget({ ...of('short'), turnId: '2' })).toBe(1);
    }
    await using store = asDisposable(new EmbeddedMemoryStore({ path }));
    expect(await idsOf(store, 'late')).toEqual(['6', '8']);
    expect(await idsOf(store, 'short')).toEqual(['0', '1']);
    expect((await store.recall(of('short'), 'heron', { limit: 1 }))[0]?.turn.id).toBe('1');
    expect(await store.stats()).toMatchObject({ turns: 75, sessions: 4 });
  });
});

describe('The export that version 0.1 wrote', () => {
  it.each([
    [true, (messages: Turn['messages']) => messages],
    // Without what Gemini takes for its own, which anyone could have made up.
    [
      false,
      (messages: Turn['messages']) =>
        messages.map(({ providerMetadata: _, origin: __, ...message }) => message),
    ],
  ])('is imported with its attachments (trusted: %s)', async (trusted, expectedMessages) => {
    const memory = new InMemoryStore();
    const archive = new InProcessMediaArchive();
    const there = { tenant: 'new', sessionId: 'home' };
    const lines = [await readFile(fixture('session.jsonl'), 'utf8')];
    expect(await importSession({ memory, archive }, there, lines, { trusted })).toBe(5);
    const expected = turnsOf('acme', 'trip').map((turn) => ({
      ...turn,
      ...there,
      messages: expectedMessages(turn.messages),
    }));
    expect(await memory.recent(there, { limit: 9 })).toStrictEqual(expected);
    const [item] = await archive.list(there);
    expect(item).toMatchObject({ name: 'harbour.mp4', firstAt: records[0]?.createdAt });
    const data = await archive.load(there, item?.id ?? '');
    expect(data?.map((part) => Buffer.from(part).toString())).toEqual(['frame', 'sound']);
  });
});

/** The store, closed at the end of the scope. */
const asDisposable = (store: MemoryStore) =>
  Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
