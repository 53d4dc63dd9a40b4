import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WordEmbedder } from '../../../test/support/word-embedder.js';
import { MemoryError } from '../../core/errors.js';
import { makeTurn } from '../../testing/contracts/memory-store-contract.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-backup-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('EmbeddedMemoryStore.backup', () => {
  it.each(['memory.db', ':memory:'])(
    'holds all that was acknowledged, while %s is written to',
    async (name) => {
      const path = name === ':memory:' ? name : join(directory, name);
      await using store = new EmbeddedMemoryStore({ path, embedder: new WordEmbedder() });
      for (let n = 0; n < 50; n++) await store.append(makeTurn({ id: `${n}`, prompt: `number${n} heron` }));
      await store.flush();
      const copy = join(directory, 'it’s', "quoted'copy.db");
      let isDone = false;
      const backup = store.backup(copy).finally(() => {
        isDone = true;
      });
      for (let n = 50; !isDone; n++) {
        await store.append(makeTurn({ id: `${n}`, prompt: `number${n} heron` }));
        // In memory only a pause lets the backup go on.
        await new Promise((resolve) => setImmediate(resolve));
      }
      await backup;
      await using restored = new EmbeddedMemoryStore({ path: copy, embedder: new WordEmbedder() });
      const original = await store.recent(conversation, { limit: 10_000 });
      const kept = await restored.recent(conversation, { limit: 10_000 });
      expect(kept.length).toBeGreaterThanOrEqual(50);
      expect(kept).toEqual(original.slice(0, kept.length));
      const found = await restored.recall(conversation, 'number7', { limit: 1 });
      expect(found[0]?.turn.id).toBe('7');
      await restored.append(makeTurn({ id: 'later' }));
      expect(await readdir(join(directory, 'it’s'))).not.toContainEqual(expect.stringMatching(/partial/));
    },
  );

  it('replaces no file, and leaves none if it fails', async () => {
    await using store = new EmbeddedMemoryStore({ path: join(directory, 'memory.db') });
    await store.append(makeTurn());
    const there = join(directory, 'there.db');
    await writeFile(there, 'mine');
    await expect(store.backup(there)).rejects.toThrow(/exists already/);
    await expect(store.backup(join(there, 'below.db'))).rejects.toThrow(/Choose another path/);
    expect(await readFile(there, 'utf8')).toBe('mine');
    expect(await readdir(directory)).not.toContainEqual(expect.stringMatching(/partial/));
  });

  it('rejects if there is nothing to back up', async () => {
    await using store = new EmbeddedMemoryStore({ path: join(directory, 'memory.db') });
    await expect(store.backup(join(directory, 'copy.db'))).rejects.toBeInstanceOf(MemoryError);
    expect(existsSync(join(directory, 'memory.db'))).toBe(false);
  });
});
