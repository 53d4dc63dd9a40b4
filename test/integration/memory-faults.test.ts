import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, truncateSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.js';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';

const pageBytes = 4096;
const conversation = { tenant: 'tenant', sessionId: 'session' };
const writer = fileURLToPath(new URL('../support/memory-writer.ts', import.meta.url));

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-faults-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function freshPath(name: string): Promise<string> {
  const folder = join(directory, name);
  await mkdir(folder, { recursive: true });
  return join(folder, 'memory.db');
}

async function idsIn(path: string, of = conversation): Promise<string[]> {
  await using store = new EmbeddedMemoryStore({ path });
  return (await store.recent(of, { limit: 100_000 })).map(({ id }) => id);
}

async function fill(store: EmbeddedMemoryStore, count: number, sessionId = conversation.sessionId) {
  for (let n = 0; n < count; n++) {
    const prompt = `${sessionId} number${n} ${'filler '.repeat(100)}`;
    await store.append(makeTurn({ sessionId, id: `${n}`, prompt }));
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);

/** A file and its log as a power cut leaves them: nothing was moved from the log into the file at the end. */
async function cutOff(name: string, turns: number): Promise<string> {
  const from = await freshPath(`${name}-before`);
  const to = await freshPath(name);
  await using store = new EmbeddedMemoryStore({ path: from });
  await fill(store, turns);
  for (const suffix of ['', '-wal']) copyFileSync(from + suffix, to + suffix);
  return to;
}

describe('After a power cut, a log', () => {
  it.each([
    ['that ends within a page', (log: string, bytes: number) => truncateSync(log, bytes - 100)],
    ['whose last page was torn', tearEnd],
    ['that ends in garbage', (log: string) => appendFileSync(log, Buffer.alloc(5_000, 0xab))],
  ])('%s costs at most the turn that was being written', async (name, damage) => {
    const path = await cutOff(name, 20);
    const log = `${path}-wal`;
    await damage(log, (await stat(log)).size);
    const kept = await idsIn(path);
    expect(kept).toEqual(numbered(kept.length));
    expect(kept.length).toBeGreaterThanOrEqual(19);
    await using store = new EmbeddedMemoryStore({ path });
    await store.append(makeTurn({ id: 'next' }));
    expect((await store.recall(conversation, 'number7', { limit: 1 }))[0]?.turn.id).toBe('7');
  });

  async function tearEnd(log: string, bytes: number): Promise<void> {
    const file = await open(log, 'r+');
    await file.write(Buffer.alloc(2_000, 0xab), 0, 2_000, bytes - 2_000);
    await file.close();
  }
});

describe('A damaged file', () => {
  it('that lost its last page is reported, and its backup works', async () => {
    const path = await freshPath('torn');
    const copy = join(directory, 'torn', 'copy.db');
    const store = new EmbeddedMemoryStore({ path });
    await fill(store, 60);
    await store.backup(copy);
    await store.close();
    truncateSync(path, (await stat(path)).size - pageBytes - 2_000);
    await expect(idsIn(path)).rejects.toMatchObject({
      name: 'MemoryError',
      message: expect.stringMatching(/torn.memory\.db could not be .* damaged.*backup in its place/),
    });
    expect(await idsIn(copy)).toEqual(numbered(60));
  });

  it('with one bad page still has all sessions that are not on it', async () => {
    const path = await freshPath('page');
    await using store = new EmbeddedMemoryStore({ path });
    await fill(store, 40, 'before');
    await fill(store, 40, 'broken');
    await fill(store, 40, 'after');
    await store.close();
    const bytes = await readFile(path);
    const page = Math.floor(bytes.indexOf('broken number20') / pageBytes);
    bytes.fill(0xab, page * pageBytes, (page + 1) * pageBytes);
    await writeFile(path, bytes);
    const sessionIds = ['before', 'broken', 'after'];
    const found = await Promise.allSettled(
      sessionIds.map((sessionId) => idsIn(path, { ...conversation, sessionId })),
    );
    expect(found).toEqual([
      { status: 'fulfilled', value: numbered(40) },
      {
        status: 'rejected',
        reason: expect.objectContaining({ name: 'MemoryError', message: expect.stringMatching(/damaged/) }),
      },
      { status: 'fulfilled', value: numbered(40) },
    ]);
  });
});

/** Appends in another process, started through `sh`, until that fails. */
async function writeUntilFailure(path: string, prefix: string, setUp: string) {
  const command = `${setUp}exec "$0" --import tsx "$@"`;
  const args = ['-c', command, process.execPath, writer, path, conversation.sessionId, prefix];
  const child = spawn('sh', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let acknowledged = '';
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => {
    acknowledged += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk;
  });
  await once(child, 'close');
  return { acknowledged: acknowledged.split('\n').slice(0, -1), complaint };
}

describe.skipIf(process.platform === 'win32')('When no more can be written,', () => {
  it('a limit on the size of files is reported, and nothing acknowledged is lost', async () => {
    const path = await freshPath('limited');
    // In blocks of 512 bytes; ignored, the signal becomes an error of the write.
    const limit = "trap '' XFSZ; ulimit -f 1000; ";
    const { acknowledged, complaint } = await writeUntilFailure(path, 'id', limit);
    expect(complaint).toMatch(/^MemoryError: .* could not be written: /);
    expect(acknowledged.length).toBeGreaterThan(0);
    expect((await idsIn(path)).slice(0, acknowledged.length)).toEqual(acknowledged);
  }, 120_000);

  const mountPoint = () => join(directory, 'full');
  const canMount = process.platform === 'linux' && process.getuid?.() === 0;

  it.skipIf(!canMount)(
    'a full disk is reported, nothing is lost, and appends work again once there is room',
    async () => {
      await mkdir(mountPoint());
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mountPoint()]);
      expect(String(mounted.stderr)).toBe('');
      try {
        const ballast = join(mountPoint(), 'ballast');
        await writeFile(ballast, Buffer.alloc(1_000_000));
        const path = join(mountPoint(), 'memory.db');
        const first = await writeUntilFailure(path, 'first', '');
        expect(first.complaint).toMatch(/the disk is full\. Free some space/);
        expect(first.acknowledged.length).toBeGreaterThan(0);
        await unlink(ballast);
        const second = await writeUntilFailure(path, 'second', '');
        expect(second.acknowledged.length).toBeGreaterThan(0);
        const copy = await freshPath('full-copy');
        for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
        const kept = await idsIn(copy);
        const acknowledged = [...first.acknowledged, ...second.acknowledged];
        expect(acknowledged.filter((id) => !kept.includes(id))).toEqual([]);
      } finally {
        spawnSync('umount', [mountPoint()]);
      }
    },
  );
});

describe('A clock that goes back', () => {
  it('does not change the order of turns', async () => {
    const path = await freshPath('clock');
    await using store = new EmbeddedMemoryStore({ path });
    const times = [5_000, 4_000, 9_000, 0, 1_000];
    for (const [n, createdAt] of times.entries()) await store.append(makeTurn({ id: `${n}`, createdAt }));
    await store.close();
    expect(await idsIn(path)).toEqual(numbered(times.length));
  });
});

describe('While another process holds the file,', () => {
  /** Real timers, but each call of `now` is a second later. */
  class HastyClock implements Clock {
    #now = 0;
    readonly setTimeout = systemClock.setTimeout.bind(systemClock);
    readonly clearTimeout = systemClock.clearTimeout.bind(systemClock);

    now(): number {
      this.#now += 1_000;
      return this.#now;
    }
  }

  it('a turn waits, and is written when the other is done', async () => {
    const path = await freshPath('held');
    await using store = new EmbeddedMemoryStore({ path });
    await store.append(makeTurn({ id: '0' }));
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    const patient = store.append(makeTurn({ id: '1' }));
    expect((await store.recent(conversation, { limit: 9 })).map(({ id }) => id)).toEqual(['0']);
    other.exec('COMMIT');
    other.close();
    await patient;
    expect(await idsIn(path)).toEqual(['0', '1']);
  });

  it('a turn is refused when it takes too long, and the next one is written', async () => {
    const path = await freshPath('held-long');
    await using store = new EmbeddedMemoryStore({ path, clock: new HastyClock() });
    await store.append(makeTurn({ id: '0' }));
    const other = new Database(path);
    other.exec('BEGIN IMMEDIATE');
    await expect(store.append(makeTurn({ id: 'refused' }))).rejects.toMatchObject({
      name: 'MemoryError',
      message: expect.stringMatching(/another process has been writing to it for too long/),
    });
    other.exec('ROLLBACK');
    other.close();
    await store.append(makeTurn({ id: '1' }));
    expect(await idsIn(path)).toEqual(['0', '1']);
  });
});
