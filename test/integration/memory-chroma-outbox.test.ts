import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChromaMemoryStore, type ChromaMemoryStoreOptions } from '../../src/chroma.js';
import { systemClock } from '../../src/core/clock.js';
import { MemoryError } from '../../src/core/errors.js';
import { withOutbox } from '../../src/memory/outbox/with-outbox.js';
import { makeTurn, memoryStoreContract } from '../../src/testing/contracts/memory-store-contract.js';
import { startChromaServer } from '../support/chroma-server.js';
import { startChromaStub } from '../support/chroma-stub.js';
import { WordEmbedder } from '../support/word-embedder.js';

const server = await startChromaServer();
afterAll(() => server?.stop());
const url = server?.url ?? '';
const conversation = { tenant: 'tenant', sessionId: 'session' };
const nobody = 'http://127.0.0.1:9';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-outbox-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
const outbox = () => join(directory, 'deep', 'outbox.db');
const openWithOutbox = ({
  outbox: path,
  maxPending,
  ...options
}: ChromaMemoryStoreOptions & { readonly outbox: string; readonly maxPending?: number }) =>
  withOutbox(new ChromaMemoryStore(options), { path, maxPending, clock: options.clock });
const newPrefix = () => `outbox-${randomUUID().slice(0, 8)}-`;

describe.skipIf(!server)('ChromaMemoryStore with an outbox, on a real server', () => {
  describe.each([
    ['an embedder', () => new WordEmbedder()],
    ['no embedder', () => undefined],
  ])('keeps the contract with %s', (_, makeEmbedder) => {
    const places = new WeakMap<object, { collectionPrefix: string; outbox: string }>();
    const open = (place: { collectionPrefix: string; outbox: string }) => {
      const store = openWithOutbox({ url, ...place, embedder: makeEmbedder() });
      places.set(store, place);
      return store;
    };
    const create = async () =>
      open({ collectionPrefix: newPrefix(), outbox: join(directory, `${randomUUID()}.db`) });
    const reopen = async (store: object) =>
      open(places.get(store) ?? { collectionPrefix: newPrefix(), outbox: outbox() });
    for (const { name, run } of memoryStoreContract(create, { reopen })) it(name, run);
  });

  it('takes turns while the server is down, and reads and delivers them once it is back', async () => {
    if (!server) return;
    const collectionPrefix = newPrefix();
    await using store = openWithOutbox({ url, collectionPrefix, outbox: outbox() });
    await store.append(makeTurn({ prompt: 'first walrus' }));
    await store.flush();
    await server.kill();
    await store.append(makeTurn({ prompt: 'second walrus' }));
    await store.append(makeTurn({ prompt: 'third walrus' }));
    await expect(store.flush()).rejects.toThrow(
      /on the local disk but not on the server yet.*cannot be reached/,
    );
    await server.restart();
    const prompts = ['first walrus', 'second walrus', 'third walrus'];
    const seen = await store.recent(conversation, { limit: 9 });
    expect(seen.map(({ prompt }) => prompt)).toEqual(prompts);
    expect(await store.recall(conversation, 'third', { limit: 1 })).toMatchObject([
      { turn: { prompt: 'third walrus' } },
    ]);
    await store.flush();
    expect(await store.stats()).toMatchObject({ turns: 3, pending: 0 });
    await using other = new ChromaMemoryStore({ url, collectionPrefix });
    const kept = await other.recent(conversation, { limit: 9 });
    expect(kept.map(({ prompt }) => prompt)).toEqual(prompts);
  });

  it('delivers by itself what an earlier process left', async () => {
    const collectionPrefix = newPrefix();
    const left = openWithOutbox({ url: nobody, collectionPrefix, outbox: outbox() });
    await left.append(makeTurn({ prompt: 'left behind' }));
    await left.close();
    await using plain = new ChromaMemoryStore({ url, collectionPrefix });
    expect(await plain.recent(conversation, { limit: 9 })).toEqual([]);
    await using _next = openWithOutbox({ url, collectionPrefix, outbox: outbox() });
    await expect
      .poll(() => plain.recent(conversation, { limit: 9 }))
      .toMatchObject([{ prompt: 'left behind' }]);
  });

  it('puts a late turn in its place in a conversation of several pages', async () => {
    const collectionPrefix = newPrefix();
    const at = (hour: number) => ({ ...systemClock, now: () => Date.UTC(2026, 0, 1, hour) });
    await using left = openWithOutbox({
      url: nobody,
      collectionPrefix,
      outbox: outbox(),
      clock: at(9),
    });
    await left.append(makeTurn({ prompt: 'early walrus' }));
    await left.close();
    await using store = new ChromaMemoryStore({ url, collectionPrefix, clock: at(12) });
    const prompts = Array.from({ length: 2_100 }, (_, n) => `heron ${n}`);
    await Promise.all(prompts.map((prompt) => store.append(makeTurn({ prompt }))));
    await using delivering = openWithOutbox({ url, collectionPrefix, outbox: outbox() });
    await delivering.flush();

    await using fresh = new ChromaMemoryStore({ url, collectionPrefix });
    const kept = await fresh.recent(conversation, { limit: 9_999 });
    expect(kept.map(({ prompt }) => prompt)).toEqual(['early walrus', ...prompts]);
    const [found] = await fresh.recall(conversation, 'walrus', { limit: 1 });
    expect(found?.turn.prompt).toBe('early walrus');
    await store.append(makeTurn({ prompt: 'last heron' }));
    expect(await fresh.recent(conversation, { limit: 9_999 })).toHaveLength(2_102);
  });

  it('forgets waiting turns, its own and those of another process, and leaves none of their words', async () => {
    const collectionPrefix = newPrefix();
    const left = openWithOutbox({ url: nobody, collectionPrefix, outbox: outbox() });
    await left.append(makeTurn({ prompt: 'The password is Rumpelstiltskin.' }));
    await left.append(makeTurn({ sessionId: 'kept', prompt: 'Nothing secret.' }));
    await using store = openWithOutbox({ url, collectionPrefix, outbox: outbox() });
    await store.append(makeTurn({ prompt: 'Rumpelstiltskin it was.' }));
    expect(await store.recent(conversation, { limit: 9 })).toHaveLength(2);
    expect(await store.forget(conversation)).toBe(2);
    expect(await store.recent(conversation, { limit: 9 })).toEqual([]);
    await left.close();
    await store.flush();
    expect(await store.recall(conversation, 'Rumpelstiltskin', { limit: 9 })).toEqual([]);
    expect(await store.recent({ ...conversation, sessionId: 'kept' }, { limit: 9 })).toHaveLength(1);
    for (const name of await readdir(join(directory, 'deep'))) {
      const bytes = await readFile(join(directory, 'deep', name));
      expect(bytes.includes('Rumpelstiltskin'), name).toBe(false);
    }
  });
});

describe('The outbox of a ChromaMemoryStore', () => {
  it('is not created by reading', async () => {
    await using store = openWithOutbox({ url: nobody, outbox: outbox() });
    await expect(store.recent(conversation, { limit: 1 })).rejects.toThrow(MemoryError);
    expect(existsSync(join(directory, 'deep'))).toBe(false);
  });

  it('counts waiting turns, and refuses more than maxPending', async () => {
    await using store = openWithOutbox({ url: nobody, outbox: outbox(), maxPending: 3 });
    const turns = Array.from({ length: 5 }, () => makeTurn());
    const outcomes = await Promise.allSettled(turns.map((turn) => store.append(turn)));
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array(3).fill('fulfilled'),
      ...Array(2).fill('rejected'),
    ]);
    await expect(store.append(makeTurn())).rejects.toThrow(
      /outbox .* is full: 3 turns wait .* raise maxPending/,
    );
  });

  it('holds back only the turn that the server refuses', async () => {
    const accepted: string[] = [];
    await using stub = await startChromaStub(({ path, body }) => {
      if (!path.endsWith('/add')) return undefined;
      if (body.includes('poison')) return { status: 400, body: { message: 'too strange' } };
      accepted.push(...(JSON.parse(body) as { documents: string[] }).documents);
      return undefined;
    });
    await using store = openWithOutbox({ url: stub.url, outbox: outbox() });
    await Promise.all(['one', 'poison', 'three'].map((prompt) => store.append(makeTurn({ prompt }))));
    await expect(store.flush()).rejects.toThrow(/refuses 1 turns, which stay in the outbox\. .*too strange/);
    expect(accepted.map((body) => (JSON.parse(body) as { prompt: string }).prompt)).toEqual(['one', 'three']);
  });
});
