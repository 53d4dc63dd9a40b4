import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { createClient } from 'redis';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';
import type { WorkerReport } from '../support/redis-worker.js';

const server = await startRedisServer();
afterAll(() => server?.stop());

const worker = fileURLToPath(new URL('../support/redis-worker.ts', import.meta.url));
const timeout = 120_000;
const model = 'gemini-3.8-flash';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function startWorker(emulatorUrl: string, pool: object): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--import', 'tsx', worker], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: {
      ...process.env,
      REDIS_URL: server?.url,
      EMULATOR_URL: emulatorUrl,
      POOL: JSON.stringify(pool),
      GEMINI_MODEL: model,
    },
  });
  children.push(child);
  await once(child, 'message');
  return child;
}

async function ask(
  child: ChildProcess,
  request: { calls: number; timeoutMs: number },
): Promise<WorkerReport> {
  child.send(request);
  const [report] = (await once(child, 'message')) as [WorkerReport];
  return report;
}

describe.skipIf(server === undefined)('RedisKeyPool in several processes', () => {
  it('uses the quotas to the full and never exceeds them', { timeout }, async () => {
    const projects = [
      {
        id: 'alpha',
        keys: ['key-of-alpha-1-000000000001', 'key-of-alpha-2-000000000002'],
        limits: { rpm: 12 },
      },
      { id: 'beta', keys: ['key-of-beta-1-0000000000003'], limits: { rpm: 18 } },
    ];
    await using emulator = await startGeminiEmulator({ projects });
    const pool = {
      prefix: 'quotas',
      keys: projects.flatMap(({ id, keys }) => keys.map((key) => ({ key, project: id }))),
      limits: projects.map(({ id, limits }) => ({ project: id, ...limits, tpm: 1_000_000 })),
    };
    const workers = await Promise.all([1, 2, 3, 4].map(() => startWorker(emulator.url, pool)));
    const reports = await Promise.all(workers.map((child) => ask(child, { calls: 15, timeoutMs: 20_000 })));

    const sum = (count: (report: WorkerReport) => number) =>
      reports.reduce((total, report) => total + count(report), 0);
    expect(reports.flatMap(({ others }) => others)).toEqual([]);
    expect({
      answered: sum((report) => report.answered),
      exhausted: sum((report) => report.exhausted),
    }).toEqual({
      answered: 30,
      exhausted: 30,
    });
    // By the emulator's own count no call was refused, and each quota was used up.
    expect(emulator.journal.map(({ status }) => status)).toEqual(Array(30).fill(200));
    const calls = emulator.journal.map(({ project }) => project);
    expect([calls.filter((id) => id === 'alpha').length, calls.filter((id) => id === 'beta').length]).toEqual(
      [12, 18],
    );
  });

  it('frees the reservations of a process that was killed during its calls', {
    timeout,
  }, async () => {
    await using emulator = await startGeminiEmulator({ firstChunkDelayMs: 600_000 });
    const pool = {
      prefix: 'killed',
      keys: ['a-key-that-two-processes-share'],
      limits: [{ rpm: 1_000, tpm: 1_000_000 }],
      maxInFlightPerProjectModel: 3,
      reservationTtlMs: 3_000,
    };
    const victim = await startWorker(emulator.url, pool);
    victim.send({ calls: 3, timeoutMs: 60_000 });
    await emulator.whenReceived(3);

    const client = await createClient({ url: server?.url ?? '' }).connect();
    const survivor = new RedisKeyPool({ ...pool, client, timeoutMs: 5_000, failClosed: true });
    try {
      const request = { model, estimatedTokens: 10 };
      const waiting = Promise.all(
        [1, 2, 3].map(() => survivor.acquire({ ...request, deadline: Date.now() + 60_000 })),
      );
      expect((await survivor.stats()).keys[0]?.windows?.[0]).toMatchObject({ inFlight: 3, requests: 3 });
      expect((await survivor.stats()).queued).toBe(3);
      const exited = once(victim, 'exit');
      victim.kill('SIGKILL');
      await exited;
      for (const lease of await waiting) lease.settle({ ok: true });
      const [window] = (await survivor.stats()).keys[0]?.windows ?? [];
      // The calls that the dead process had sent still count against the minute.
      expect(window).toMatchObject({ inFlight: 0, requests: 6 });
    } finally {
      await survivor.close();
      client.destroy();
    }
  });
});
