import { Redis } from 'ioredis';
import type { KeyEvent, KeyLease } from 'multimodal-chat';
import { type LedgerChange, RedisKeyPool, type RedisKeyPoolOptions } from 'multimodal-chat/redis';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';

const server = await startRedisServer();
const admin = createClient({ url: server?.url ?? '', socket: { reconnectStrategy: 50 } });
admin.on('error', () => undefined);
if (server !== undefined) await admin.connect();
afterAll(async () => {
  if (admin.isOpen) admin.destroy();
  await server?.stop();
});

const request = { model: 'gemini-3.8-flash', estimatedTokens: 10 };
const limits = [{ rpm: 8, tpm: 1_000_000 }];

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
beforeEach(() => admin.flushAll());

/** A pool with a connection of its own. `untilMode` waits for a change of mode. */
async function open(options: Partial<RedisKeyPoolOptions> = {}) {
  const changes: LedgerChange[] = [];
  const waiting: (() => void)[] = [];
  const client = createClient({ url: server?.url ?? '', socket: { reconnectStrategy: 50 } });
  client.on('error', () => undefined);
  await client.connect();
  const pool = new RedisKeyPool({
    client,
    keys: ['a-key-for-the-outage-tests-0000001'],
    limits,
    // Long, because other tests run on the same machine. The test of a slow Redis sets a short one.
    timeoutMs: 1_000,
    onLedgerChange: (change) => {
      changes.push(change);
      for (const wake of waiting.splice(0)) wake();
    },
    ...options,
  });
  cleanups.push(
    () => client.destroy(),
    () => pool.close(),
  );
  const untilMode = async (mode: LedgerChange['mode']) => {
    while (changes.at(-1)?.mode !== mode) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { pool, changes, untilMode };
}

/** Takes and settles leases until the pool refuses. Returns their number. */
async function drain(pool: RedisKeyPool): Promise<number> {
  for (let granted = 0; ; granted += 1) {
    let lease: KeyLease;
    try {
      lease = await pool.acquire({ ...request, deadline: Date.now() + 3_000 });
    } catch {
      return granted;
    }
    lease.settle({ ok: true });
  }
}

describe.skipIf(server === undefined)('RedisKeyPool without Redis', () => {
  it('uses its share of the limits, and writes its use back when Redis answers again', async () => {
    const [one, two] = [await open(), await open()];
    for (const { pool } of [one, two]) (await pool.acquire(request)).settle({ ok: true });
    // Each pool has to see the other one before the limits are divided by two.
    for (const { pool } of [one, two, one, two]) await pool.stats();
    await server?.kill();
    await Promise.all([drain(one.pool), drain(two.pool)]).then((granted) => expect(granted).toEqual([3, 3]));
    expect(one.changes).toMatchObject([{ mode: 'local', reason: expect.any(String) }]);
    await server?.restart();
    await Promise.all([one.untilMode('shared'), two.untilMode('shared')]);
    expect(await drain(one.pool)).toBe(0);
    expect((await two.pool.stats()).keys[0]?.windows?.[0]?.requests).toBe(8);
  });

  it('tells at once what it learns, divides a limit that it learns, and tells nothing twice', async () => {
    const { pool, untilMode } = await open({ limits: [], expectedProcesses: 2 });
    const events: KeyEvent['type'][] = [];
    pool.onEvent(({ type }) => events.push(type));
    await server?.kill();
    (await pool.acquire(request)).settle({
      ok: false,
      sent: true,
      failure: {
        kind: 'rate-limit',
        scope: 'project-model',
        message: 'Slow.',
        retryAfterMs: 0,
        learned: { rpm: 8 },
      },
    });
    await expect.poll(() => events).toEqual(['limit-learned', 'cooled']);
    expect((await pool.stats()).keys[0]).toMatchObject({
      state: 'cooling',
      windows: [{ rpm: { value: 4 } }],
    });
    await server?.restart();
    await untilMode('shared');
    expect((await pool.stats()).keys[0]).toMatchObject({
      state: 'cooling',
      windows: [{ rpm: { value: 8 } }],
    });
    expect(events).toEqual(['limit-learned', 'cooled']);
  });

  it('uses no key that was removed during the outage', async () => {
    const { pool } = await open({
      keys: ['a-key-for-the-outage-tests-0000001', 'a-key-for-the-outage-tests-0000002'],
    });
    const [first] = [await pool.acquire(request)];
    await server?.kill();
    (await pool.acquire(request)).settle({ ok: true });
    expect(pool.removeKey(first.key.id)).toBe(true);
    const leases = await Promise.all([1, 2, 3].map(() => pool.acquire(request)));
    expect(leases.map(({ key }) => key.id)).not.toContain(first.key.id);
    await server?.restart();
  });

  it('serves calls that were waiting for Redis', async () => {
    const { pool } = await open();
    (await pool.acquire(request)).settle({ ok: true });
    await server?.kill();
    const leases = await Promise.all([1, 2, 3].map(() => pool.acquire(request)));
    expect(leases).toHaveLength(3);
    await server?.restart();
  });

  it('refuses calls with a reason under failClosed, and serves again afterwards', async () => {
    const { pool, untilMode } = await open({ failClosed: true });
    (await pool.acquire(request)).settle({ ok: true });
    await server?.kill();
    await expect(pool.acquire(request)).rejects.toMatchObject({
      name: 'KeyPoolExhaustedError',
      message: expect.stringMatching(/^The limits are kept in Redis, which cannot be used: .*failClosed/),
      retryAfterMs: expect.any(Number),
    });
    await server?.restart();
    await untilMode('shared');
    await expect(pool.acquire(request)).resolves.toBeDefined();
  });

  it('starts without Redis, with the share of the expected processes', async () => {
    const client = new Redis({ port: 1, retryStrategy: () => 50, maxRetriesPerRequest: 1 });
    const pool = new RedisKeyPool({ client, keys: ['a-key'], limits, expectedProcesses: 4 });
    cleanups.push(
      () => client.disconnect(),
      () => pool.close(),
    );
    expect(await drain(pool)).toBe(2);
  });

  it('does not wait for a slow Redis, and gives back its late reservation', async () => {
    const { pool, untilMode } = await open({ timeoutMs: 50 });
    (await pool.acquire(request)).settle({ ok: true });
    await pool.stats();
    const pausedMs = 3_000;
    await admin.sendCommand(['CLIENT', 'PAUSE', String(pausedMs)]);
    const start = performance.now();
    (await pool.acquire(request)).settle({ ok: true });
    expect(performance.now() - start).toBeLessThan(pausedMs);
    await untilMode('shared');
    const [key] = (await pool.stats()).keys;
    expect(key?.windows?.[0]).toMatchObject({ requests: 2, inFlight: 0 });
  });
});
