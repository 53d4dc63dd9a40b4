import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InMemoryStore } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryError } from '../../core/errors.js';
import { toTurnRecord } from '../../core/turn.js';
import { makeTurn, memoryStoreContract } from '../../testing/contracts/memory-store-contract.js';
import { EmbeddedMemoryStore } from '../embedded/embedded-memory-store.js';
import { MemoryDatabase } from '../embedded/memory-database.js';
import type { AppendOptions, MemoryStore } from '../memory-store.js';
import { conversationKey, namesKey, turnId } from '../shared/conversation-key.js';
import { withOutbox } from './with-outbox.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-outbox-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
const file = () => join(directory, 'deep', 'outbox.db');

/** A store that can be unreachable, or refuse turns. */
class FailingStore extends InMemoryStore {
  isDown = false;
  refuses = (_prompt: string) => false;
  readonly accepted: (number | undefined)[] = [];

  override async append(...[turn, options]: Parameters<MemoryStore['append']>): Promise<void> {
    if (this.isDown) throw new MemoryError('The store is down.');
    if (this.refuses(turn.prompt)) throw new MemoryError('That is too strange.');
    this.accepted.push((options as AppendOptions).acceptedAt);
    await super.append(turn, options);
  }
}

const promptsOf = async (store: MemoryStore) =>
  (await store.recent(conversation, { limit: 99 })).map(({ prompt }) => prompt);

describe('withOutbox keeps the contract of a memory store', () => {
  describe('over one in memory', () => {
    const create = async () => withOutbox(new InMemoryStore(), { path: file() });
    for (const { name, run } of memoryStoreContract(create)) it(name, run);
  });

  describe('over one on disk', () => {
    const open = async () =>
      withOutbox(new EmbeddedMemoryStore({ path: join(directory, 'memory.db') }), { path: file() });
    for (const { name, run } of memoryStoreContract(open, { reopen: open })) it(name, run);
  });

  describe('over one that takes no turn for now', () => {
    const create = async () => {
      const store = new FailingStore();
      let left = 3;
      store.refuses = () => left-- > 0;
      return withOutbox(store, { path: file() });
    };
    for (const { name, run } of memoryStoreContract(create)) it(name, run);
  });
});

describe('withOutbox', () => {
  it('takes turns while the store is down, reads them, and delivers them in order', async () => {
    const inner = new FailingStore();
    inner.isDown = true;
    await using store = withOutbox(inner, { path: file() });
    const prompts = ['first walrus', 'second walrus', 'third walrus'];
    for (const prompt of prompts) await store.append(makeTurn({ prompt }));
    expect(await promptsOf(store)).toEqual(prompts);
    const [found] = await store.recall(conversation, 'third', { limit: 1 });
    expect(found?.turn.prompt).toBe('third walrus');
    expect(await store.stats()).toMatchObject({ pending: 3 });
    await expect(store.flush()).rejects.toThrow(/on the local disk but not on the server yet.*is down/);
    inner.isDown = false;
    await store.flush();
    expect(await promptsOf(inner)).toEqual(prompts);
    expect(await store.stats()).toMatchObject({ pending: 0 });
    expect(inner.accepted).toEqual([...inner.accepted].sort((a, b) => Number(a) - Number(b)));
    expect(new Set(inner.accepted).size).toBe(3);
  });

  it('holds back only the turn that the store refuses', async () => {
    const inner = new FailingStore();
    inner.refuses = (prompt) => prompt === 'poison';
    await using store = withOutbox(inner, { path: file() });
    await Promise.all(['one', 'poison', 'three'].map((prompt) => store.append(makeTurn({ prompt }))));
    await expect(store.flush()).rejects.toThrow(/refuses 1 turns, which stay in the outbox\. .*too strange/);
    expect(await promptsOf(inner)).toEqual(['one', 'three']);
    expect(await promptsOf(store)).toEqual(['one', 'three', 'poison']);
    await store.append(makeTurn({ prompt: 'four' }));
    await expect(store.flush()).rejects.toThrow(/refuses 1 turns/);
    expect(await promptsOf(inner)).toEqual(['one', 'three', 'four']);
  });

  it('forgets waiting turns, and leaves none of their words', async () => {
    const inner = new FailingStore();
    await using store = withOutbox(inner, { path: file() });
    await store.append(makeTurn({ prompt: 'delivered Rumpelstiltskin' }));
    await store.flush();
    inner.isDown = true;
    await store.append(makeTurn({ prompt: 'waiting Rumpelstiltskin' }));
    await store.append(makeTurn({ sessionId: 'kept', prompt: 'Nothing secret.' }));
    expect(await store.forget(conversation)).toBe(2);
    expect(await promptsOf(store)).toEqual([]);
    inner.isDown = false;
    await store.flush();
    expect(await promptsOf(inner)).toEqual([]);
    expect(await inner.recent({ ...conversation, sessionId: 'kept' }, { limit: 9 })).toHaveLength(1);
    for (const name of await readdir(join(directory, 'deep'))) {
      const bytes = await readFile(join(directory, 'deep', name));
      expect(bytes.includes('Rumpelstiltskin'), name).toBe(false);
    }
  });

  it('counts a turn once that was delivered just before its process was killed', async () => {
    const inner = new FailingStore();
    const turn = makeTurn();
    await inner.append(turn, {});
    inner.isDown = true;
    await using store = withOutbox(inner, { path: file() });
    await store.append(turn);
    expect(await store.recent(conversation, { limit: 9 })).toEqual([turn]);
    expect(await store.forget(conversation)).toBe(1);
  });

  it('lets one of several stores on a file deliver at a time, and any of them forget', async () => {
    const inner = new FailingStore();
    const stores = Array.from({ length: 3 }, () => withOutbox(inner, { path: file() }));
    const turns = Array.from({ length: 60 }, (_, n) => makeTurn({ id: `${n}`, prompt: `heron ${n}` }));
    for (const [n, turn] of turns.entries()) await stores[n % 3]?.append(turn);
    await Promise.all(stores.map((store) => store.flush()));
    expect((await inner.recent(conversation, { limit: 99 })).map(({ id }) => id)).toEqual(
      turns.map(({ id }) => id),
    );
    await stores[0]?.append(makeTurn({ prompt: 'one more' }));
    expect(await stores[1]?.forget(conversation)).toBe(61);
    for (const store of stores) await store.close();
  });

  it('delivers what versions before 0.3 left in the file', async () => {
    const turns = [makeTurn({ prompt: 'left behind' }), makeTurn({ prompt: 'as well' })];
    const database = await MemoryDatabase.open(file(), undefined, (each) => {
      each.exec(
        `CREATE TABLE outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
           owner TEXT NOT NULL, added_at INTEGER NOT NULL, tenant TEXT NOT NULL, conversation TEXT NOT NULL,
           turn_order INTEGER NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL);
         CREATE INDEX outbox_by_conversation ON outbox (conversation);
         CREATE INDEX outbox_by_owner ON outbox (owner);
         CREATE TABLE forgotten (position INTEGER PRIMARY KEY, at INTEGER NOT NULL);
         CREATE TABLE orders (last INTEGER NOT NULL);
         INSERT INTO orders VALUES (7001);
         PRAGMA application_id = ${0x4d4d434f}; PRAGMA user_version = 1;`,
      );
    });
    for (const [n, turn] of turns.entries()) {
      database.run(
        `INSERT INTO outbox (id, owner, added_at, tenant, conversation, turn_order, created_at, body)
         VALUES (?, '4194303 gone', 7, ?, ?, ?, ?, ?)`,
        ...[turnId(turn), namesKey(turn.tenant), conversationKey(turn), 7_000 + n, turn.createdAt],
        JSON.stringify(toTurnRecord(turn)),
      );
    }
    database.close();
    const inner = new FailingStore();
    await using store = withOutbox(inner, { path: file() });
    await store.flush();
    expect(await inner.recent(conversation, { limit: 9 })).toEqual(turns);
    expect(inner.accepted).toEqual([7_000, 7_001]);
  });

  it('creates no file by reading, and refuses more than maxPending', async () => {
    const inner = new FailingStore();
    await using store = withOutbox(inner, { path: file(), maxPending: 2 });
    await store.recent(conversation, { limit: 1 });
    await store.recall(conversation, 'x', { limit: 1 });
    await store.forget(conversation);
    await store.flush();
    expect(existsSync(file())).toBe(false);
    inner.isDown = true;
    for (const prompt of ['one', 'two']) await store.append(makeTurn({ prompt }));
    await expect(store.append(makeTurn())).rejects.toThrow(
      /outbox .* is full: 2 turns wait .* raise maxPending/,
    );
  });

  it('offers reindex and summaries only if the store does', () => {
    const plain = new FailingStore();
    expect(withOutbox(plain, { path: file() }).reindex).toBeUndefined();
    const embedded = withOutbox(new EmbeddedMemoryStore({ path: ':memory:' }), { path: file() });
    expect(embedded.reindex).toBeDefined();
    expect(embedded.summaries).toBeDefined();
  });
});

describe('Turns that an outbox acknowledged before kill -9', () => {
  it('are delivered by the next process, in order', async () => {
    const script = fileURLToPath(new URL('../../../test/support/outbox-writer.ts', import.meta.url));
    const acknowledged: string[] = [];
    const memory = join(directory, 'memory.db');
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ['--import', 'tsx', script, file(), memory, `${round}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk;
        if (output.split('\n').length > 20) child.kill('SIGKILL');
      });
      await once(child, 'close');
      // The last line may be cut by the kill.
      acknowledged.push(...output.split('\n').slice(0, -1));
    }
    await using store = withOutbox(new EmbeddedMemoryStore({ path: memory }), { path: file() });
    await store.flush();
    const kept = (await store.recent(conversation, { limit: 99_999 })).map(({ id }) => id);
    expect(acknowledged.length).toBeGreaterThanOrEqual(60);
    expect(kept.filter((id) => acknowledged.includes(id))).toEqual(acknowledged);
    expect(new Set(kept).size).toBe(kept.length);
  });
});
