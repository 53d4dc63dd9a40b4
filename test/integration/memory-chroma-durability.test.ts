import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { withOutbox } from '../../src/memory/outbox/with-outbox.js';
import { startChromaServer } from '../support/chroma-server.js';

/** `MEMORY_KILL_ROUNDS=20` for the long run. */
const rounds = Number(process.env.MEMORY_KILL_ROUNDS ?? 3);
const writersPerRound = 4;
const script = fileURLToPath(new URL('../support/chroma-writer.ts', import.meta.url));
const server = await startChromaServer();

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-chroma-durability-'));
});
afterAll(async () => {
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

interface Writer {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  acknowledged(): string[];
  acknowledges(count: number): Promise<void>;
}

function startWriter(parameters: readonly string[]): Writer {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'close');
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  // Only whole lines: the last one may be cut by the kill.
  const acknowledged = () => output.split('\n').slice(0, -1);
  return {
    child,
    exited,
    acknowledged,
    async acknowledges(count) {
      while (acknowledged().length < count) {
        const more = once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data').then(() => true);
        if (!(await Promise.race([more, exited.then(() => false)])))
          throw new Error('The writer ended early.');
      }
    },
  };
}

describe.skipIf(!server)('Turns on Chroma that were acknowledged before kill -9', () => {
  it.each([
    ['by the server', undefined],
    ['by the outbox', 'outbox.db'],
  ])(
    `${'%s'}, of ${writersPerRound} writers and of the server, ${rounds} times, all survive in order`,
    async (_, file) => {
      if (!server) return;
      const outbox = file && join(directory, file);
      const collectionPrefix = `killed-${randomUUID().slice(0, 8)}-`;
      const conversation = { tenant: 'tenant', sessionId: 'shared' };
      const acknowledged: string[] = [];
      for (let round = 0; round < rounds; round++) {
        const writers = Array.from({ length: writersPerRound }, (_, n) =>
          startWriter([
            server.url,
            collectionPrefix,
            conversation.sessionId,
            `${round}-${n}`,
            ...(outbox ? [outbox] : []),
          ]),
        );
        await Promise.all(writers.map((writer, n) => writer.acknowledges(5 + 5 * n)));
        await server.kill();
        // An outbox goes on without the server.
        if (outbox) {
          const before = writers.map((writer) => writer.acknowledged().length);
          await Promise.all(writers.map((writer, n) => writer.acknowledges((before[n] ?? 0) + 3)));
        }
        for (const { child } of writers) child.kill('SIGKILL');
        await Promise.all(writers.map(({ exited }) => exited));
        acknowledged.push(...writers.flatMap((writer) => writer.acknowledged()));
        await server.restart();
      }

      const plain = new ChromaMemoryStore({ url: server.url, collectionPrefix });
      const written = outbox ? withOutbox(plain, { path: outbox }) : plain;
      const merged = (await written.recent(conversation, { limit: 1_000_000 })).map(({ id }) => id);
      await written.flush();
      expect((await written.stats()).pending).toBe(0);
      await written.close();

      await using fresh = new ChromaMemoryStore({ url: server.url, collectionPrefix });
      const kept = (await fresh.recent(conversation, { limit: 1_000_000 })).map(({ id }) => id);
      const keptIds = new Set(kept);
      expect(acknowledged.filter((id) => !keptIds.has(id))).toEqual([]);
      expect(kept.length).toBe(keptIds.size);
      expect(merged).toEqual(kept);
      for (let n = 0; n < writersPerRound; n++) {
        const numbers = kept.filter((id) => id.startsWith(`0-${n}-`)).map((id) => Number(id.split('-')[2]));
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
    },
    300_000,
  );
});
