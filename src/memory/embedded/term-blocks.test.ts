import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTurn } from '../../testing/contracts/memory-store-contract.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };
const turnsPerBlock = 64;

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-blocks-'));
  path = join(directory, 'memory.db');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = () => new EmbeddedMemoryStore({ path });
const append = (store: EmbeddedMemoryStore, from: number, to: number) =>
  Promise.all(
    Array.from({ length: to - from }, (_, at) => {
      const n = from + at;
      const prompt = `Ann: heron number${n} by the ${n % 7 === 0 ? 'river' : 'lake'}`;
      return store.append(makeTurn({ id: `${n}`, prompt, reply: '', createdAt: n }));
    }),
  );
const ranking = async (store: EmbeddedMemoryStore, query = 'the herons of the river, number40') => {
  const found = await store.recall(conversation, query, { limit: 2_000 });
  return found.map(({ turn, score }) => [turn.id, score]);
};

function onFile<T>(work: (database: InstanceType<typeof Database>) => T): T {
  const database = new Database(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}
const storedBlocks = () =>
  onFile((database) => (database.prepare('SELECT key FROM term_blocks').all([]) as unknown[]).length);

describe('The stored terms of a session', () => {
  it('rank like the turns themselves, whichever blocks are stored', async () => {
    for (const to of [2 * turnsPerBlock + 10, 3 * turnsPerBlock]) {
      await using first = open();
      await append(first, to === 3 * turnsPerBlock ? 2 * turnsPerBlock + 10 : 0, to);
      const fromTurns = await ranking(first);
      await first.flush();
      await first.close();
      await using second = open();
      expect(await ranking(second)).toEqual(fromTurns);
      expect(fromTurns).toHaveLength(to);
      await second.close();
      expect(storedBlocks()).toBe(Math.floor(to / turnsPerBlock));
    }
  });

  it('are stored for a long session before its first recall, block by block', async () => {
    await using store = open();
    await append(store, 0, 4 * turnsPerBlock - 1);
    await store.flush();
    expect(storedBlocks()).toBe(0);
    await append(store, 4 * turnsPerBlock - 1, 5 * turnsPerBlock + 3);
    await store.flush();
    await store.close();
    expect(storedBlocks()).toBe(5);
    await using next = open();
    const found = await ranking(next);
    expect(found).toHaveLength(5 * turnsPerBlock + 3);
    onFile((database) => database.exec('DELETE FROM term_blocks'));
    await using last = open();
    expect(await ranking(last)).toEqual(found);
  });

  it('leave nothing of a session that is forgotten while they are made', async () => {
    await using store = open();
    const appended = append(store, 0, 6 * turnsPerBlock);
    await appended;
    await store.forget(conversation);
    await store.flush();
    expect(storedBlocks()).toBe(0);
  });

  it('are what the next process reads', async () => {
    await using first = open();
    await append(first, 0, turnsPerBlock);
    await ranking(first);
    await first.flush();
    await first.close();
    onFile((database) => database.exec(`UPDATE turns SET body = replace(body, 'heron', 'stork')`));
    await using second = open();
    expect(await ranking(second, 'stork')).toEqual([]);
    expect(await ranking(second, 'heron')).toHaveLength(turnsPerBlock);
  });

  it('are ignored if they are of another format', async () => {
    await using first = open();
    await append(first, 0, turnsPerBlock);
    const fromTurns = await ranking(first);
    await first.flush();
    await first.close();
    onFile((database) => database.exec(`UPDATE term_blocks SET terms = x'63000000000000000000000000000000'`));
    await using second = open();
    expect(await ranking(second)).toEqual(fromTurns);
  });

  it('go with the turns that are forgotten', async () => {
    await using store = open();
    await append(store, 0, 3 * turnsPerBlock);
    await ranking(store);
    await store.flush();
    await store.forget({ before: new Date(75) });
    expect(storedBlocks()).toBe(1);
    expect(await ranking(store)).toHaveLength(3 * turnsPerBlock - 75);
    await store.flush();
    expect(storedBlocks()).toBe(3);
    await store.close();
    for (const name of await readdir(directory)) {
      const bytes = await readFile(join(directory, name));
      expect(bytes.includes('number74'), name).toBe(false);
      if (name === 'memory.db') expect(bytes.includes('number76')).toBe(true);
    }
    await using again = open();
    await again.forget(conversation);
    expect(storedBlocks()).toBe(0);
  });

  it('are rebuilt for a file of schema 3, whose blocks were of 256 turns', async () => {
    await using first = open();
    await append(first, 0, 2 * turnsPerBlock);
    const fromTurns = await ranking(first);
    await first.close();
    onFile((database) =>
      database.exec(
        `DELETE FROM term_blocks; PRAGMA user_version = 3;
         INSERT INTO term_blocks SELECT min(key), CAST('heron' AS BLOB) FROM turns`,
      ),
    );
    await using second = open();
    expect(await second.recent(conversation, { limit: 1 })).toHaveLength(1);
    expect(storedBlocks()).toBe(0);
    expect(await ranking(second)).toEqual(fromTurns);
    await second.flush();
    expect(storedBlocks()).toBe(2);
  });

  it('are made for a file of schema 1, which had none', async () => {
    await using first = open();
    await append(first, 0, turnsPerBlock);
    const fromTurns = await ranking(first);
    await first.close();
    onFile((database) =>
      database.exec('DROP TABLE term_blocks; DROP TABLE summaries; PRAGMA user_version = 1'),
    );
    await using second = open();
    expect(await ranking(second)).toEqual(fromTurns);
    expect((await second.recent(conversation, { limit: 1_000 })).map(({ id }) => id)).toEqual(
      Array.from({ length: turnsPerBlock }, (_, n) => `${n}`),
    );
    await second.flush();
    expect(storedBlocks()).toBe(1);
  });
});
