import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';

/** `MEMORY_KILL_ROUNDS=20` for the long run. */
const rounds = Number(process.env.MEMORY_KILL_ROUNDS ?? 4);
const writersPerRound = 4;
const script = fileURLToPath(new URL('../support/memory-writer.ts', import.meta.url));
const conversation = { tenant: 'tenant', sessionId: 'shared' };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-durability-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Writer {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  acknowledged(): string[];
  complaint(): string;
}

function startWriter(path: string, sessionId: string, prefix: string, env: NodeJS.ProcessEnv = {}): Writer {
  const child = spawn(process.execPath, ['--import', 'tsx', script, path, sessionId, prefix], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let complaint = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk;
  });
  return {
    child,
    exited: once(child, 'close'),
    // Only whole lines: the last one may be cut by the kill.
    acknowledged: () => output.split('\n').slice(0, -1),
    complaint: () => complaint,
  };
}

async function acknowledges(writer: Writer, count: number): Promise<void> {
  while (writer.acknowledged().length < count) {
    const exited = await Promise.race([
      once(writer.child.stdout as NonNullable<ChildProcess['stdout']>, 'data').then(() => false),
      writer.exited.then(() => true),
    ]);
    if (exited) throw new Error(`The writer ended early: ${writer.complaint()}`);
  }
}

describe('Turns that were acknowledged before kill -9', () => {
  it(`all survive, in order, after ${rounds} rounds of ${writersPerRound} processes on one file`, async () => {
    const path = join(directory, 'killed', 'memory.db');
    const acknowledged: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const writers = Array.from({ length: writersPerRound }, (_, n) =>
        startWriter(path, conversation.sessionId, `${round}-${n}`),
      );
      await Promise.all(writers.map((writer, n) => acknowledges(writer, 5 + 7 * n)));
      for (const { child } of writers) child.kill('SIGKILL');
      await Promise.all(writers.map(({ exited }) => exited));
      acknowledged.push(...writers.flatMap((writer) => writer.acknowledged()));
    }
    await using store = new EmbeddedMemoryStore({ path });
    const kept = (await store.recent(conversation, { limit: 1_000_000 })).map(({ id }) => id);
    const keptIds = new Set(kept);
    expect(acknowledged.filter((id) => !keptIds.has(id))).toEqual([]);
    expect(kept.length).toBe(keptIds.size);
    for (let n = 0; n < writersPerRound; n++) {
      const ofOne = kept.filter((id) => id.startsWith(`0-${n}-`));
      expect(ofOne).toEqual(ofOne.map((_, at) => `0-${n}-${at}`));
    }
    const last = acknowledged.at(-1) as string;
    const found = await store.recall(conversation, last, { limit: 3 });
    expect(found.length).toBeGreaterThan(0);
  }, 300_000);
});

describe('A file that another process writes to', () => {
  it('shows its new turns at once', async () => {
    const path = join(directory, 'two', 'memory.db');
    await using store = new EmbeddedMemoryStore({ path });
    await store.append(makeTurn({ ...conversation, prompt: 'mine' }));
    await store.recall(conversation, 'turn', { limit: 1 });
    const writer = startWriter(path, conversation.sessionId, 'other');
    await acknowledges(writer, 3);
    const acknowledged = writer.acknowledged();
    await store.append(makeTurn({ ...conversation, prompt: 'mine again' }));
    const kept = new Set((await store.recent(conversation, { limit: 100_000 })).map(({ id }) => id));
    expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
    const found = await store.recall(conversation, `turn ${acknowledged[2]}`, { limit: 100_000 });
    expect(found.map(({ turn }) => turn.id)).toContain(acknowledged[2]);
    writer.child.kill('SIGKILL');
    await writer.exited;
  });
});

describe.skipIf(process.platform === 'win32')('A directory without write permission', () => {
  it.each(['memory.db', join('below', 'memory.db')])('is named in a MemoryError (%s)', async (name) => {
    const locked = join(directory, 'locked');
    await mkdir(locked, { recursive: true });
    await chmod(directory, 0o755);
    await chmod(locked, 0o555);
    const writer = startWriter(join(locked, name), 'session', 'id', { AS_NOBODY: '1' });
    await writer.exited;
    expect(writer.acknowledged()).toEqual([]);
    expect(writer.complaint()).toMatch(
      /^MemoryError: .*locked.* Check the permissions, or choose another path/,
    );
  });
});
