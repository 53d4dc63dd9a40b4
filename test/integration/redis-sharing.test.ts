import {
  BackoffRetryPolicy,
  type Failure,
  type KeyEvent,
  type KeyPool,
  type LeaseOutcome,
} from 'multimodal-chat';
import { RedisKeyPool, type RedisKeyPoolOptions } from 'multimodal-chat/redis';
import { VirtualClock } from 'multimodal-chat/testing';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';
import { standStill } from '../support/redis-time.js';
import { simulate } from '../support/simulated-traffic.js';

const server = await startRedisServer();
const client = createClient({ url: server?.url ?? '' });
if (server !== undefined) await client.connect();
afterAll(async () => {
  if (client.isOpen) client.destroy();
  await server?.stop();
});

const model = 'gemini-3.8-flash';
const keyA = 'AIzaSyA-first-key-aaaaaaaaaaaaaaaaaaa01';
const keyB = 'AIzaSyB-second-key-bbbbbbbbbbbbbbbbbb02';
const request = { model, estimatedTokens: 100 };

type Refusal = Pick<Failure, 'kind' | 'scope'> & Partial<Failure>;
const refused = (failure: Refusal): LeaseOutcome => ({
  ok: false,
  sent: true,
  failure: { message: 'Refused for a test.', ...failure },
});

const open: RedisKeyPool[] = [];
/** Fails closed, because a local share could pass a test of sharing as well. */
function createPool(clock: VirtualClock, options: Partial<RedisKeyPoolOptions> = {}): RedisKeyPool {
  const pool = new RedisKeyPool({
    client: standStill(client, clock),
    clock,
    keys: [keyA],
    random: () => 0.5,
    failClosed: true,
    ...options,
  });
  open.push(pool);
  return pool;
}

beforeEach(async () => {
  if (server !== undefined) await client.flushAll();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.close()));
});

describe.skipIf(server === undefined)('RedisKeyPool, several on one ledger', () => {
  it('uses every quota to the full and is hardly ever refused', { timeout: 120_000 }, async () => {
    const projects = [
      { name: 'alpha', keys: [keyA], rpm: 60, tpm: 1_000_000 },
      { name: 'beta', keys: [keyB, 'AIzaSyC-third-key-cccccccccccccccccc03'], rpm: 90, tpm: 60_000 },
    ];
    const result = await simulate({
      seed: 7,
      window: 'sliding',
      projects,
      classes: [{ tenant: 'everybody', priority: 'interactive', load: 1 }],
      durationMs: 1_200_000,
      deadlineMs: 30_000,
      meanTokens: 800,
      createPool: ({ clock, random }) => {
        const keys = projects.flatMap(({ name, keys: values }) =>
          values.map((key) => ({ key, project: name })),
        );
        const limits = projects.map(({ name, rpm, tpm }) => ({ project: name, rpm, tpm }));
        return inRotation(
          [1, 2, 3, 4].map(() => createPool(clock as VirtualClock, { keys, limits, random })),
        );
      },
      createRetry: ({ random }) => new BackoffRetryPolicy({ random }),
    });
    expect(result.goodput).toBeGreaterThanOrEqual(0.99);
    expect(result.rejectionsPerSuccess).toBeLessThanOrEqual(0.001);
  });

  it('counts the calls of all pools against the minute', async () => {
    const clock = new VirtualClock();
    const [one, two] = [
      createPool(clock, { limits: [{ rpm: 2 }] }),
      createPool(clock, { limits: [{ rpm: 2 }] }),
    ];
    const start = clock.now();
    await one.acquire(request);
    await two.acquire(request);
    await clock.runUntil(one.acquire({ ...request, deadline: start + 90_000 }));
    expect(clock.now() - start).toBeGreaterThanOrEqual(60_300);
    expect(clock.now() - start).toBeLessThan(60_400);
  });

  it('learns limits, bad keys and cool-downs from another pool', async () => {
    const clock = new VirtualClock();
    const keys = [
      { key: keyA, project: 'alpha' },
      { key: keyB, project: 'beta' },
    ];
    const [one, two] = [createPool(clock, { keys }), createPool(clock, { keys })];
    const events: KeyEvent[] = [];
    one.onEvent((event) => events.push(event));
    (await one.acquire({ ...request, project: 'alpha' })).settle(
      refused({ kind: 'auth', scope: 'key', reason: 'API_KEY_LEAKED' }),
    );
    (await one.acquire({ ...request, project: 'beta' })).settle(
      refused({ kind: 'rate-limit', scope: 'project-model', retryAfterMs: 10_000, learned: { rpm: 5 } }),
    );
    await expect(two.acquire({ ...request, deadline: clock.now() + 5_000 })).rejects.toMatchObject({
      name: 'KeyPoolExhaustedError',
      retryAfterMs: expect.closeTo(11_500, -3),
    });
    const { keys: stats } = await two.stats();
    expect(stats).toMatchObject([
      { project: 'alpha', state: 'disabled', usageCount: 0 },
      { project: 'beta', state: 'cooling', windows: [{ rpm: { value: 5, origin: 'learned' } }] },
    ]);
    expect(events.map(({ type }) => type)).toEqual(['disabled', 'limit-learned', 'cooled']);
  });

  it('sends one probe for all pools when a cool-down is over', async () => {
    const clock = new VirtualClock();
    const pools = [createPool(clock), createPool(clock)];
    (await pools[0]?.acquire(request))?.settle(
      refused({ kind: 'rate-limit', scope: 'project-model', retryAfterMs: 10_000 }),
    );
    let granted = 0;
    const calls = pools.map((pool) =>
      pool.acquire({ ...request, deadline: clock.now() + 60_000 }).then((lease) => {
        granted += 1;
        return lease;
      }),
    );
    const ended = Promise.allSettled(calls);
    await clock.advance(12_000);
    expect(granted).toBe(1);
    await Promise.all(pools.map((pool) => pool.close()));
    await ended;
  });

  it('joins unlabelled keys when a reply to another pool names their project', async () => {
    const clock = new VirtualClock();
    const keys = [keyA, keyB];
    const [one, two] = [createPool(clock, { keys }), createPool(clock, { keys })];
    await two.acquire(request);
    const leases = [await one.acquire(request), await one.acquire(request)];
    for (const lease of leases) {
      lease.settle(refused({ kind: 'invalid-request', scope: 'call', project: 'projects/4711' }));
    }
    await clock.advance(3_000);
    const projects = new Set((await two.stats()).keys.map(({ project }) => project));
    expect(projects.size).toBe(1);
  });

  it('fills a flushed ledger again before it grants a call', async () => {
    const clock = new VirtualClock();
    const pools = [1, 2].map(() => createPool(clock, { limits: [{ rpm: 4 }] }));
    for (const pool of [...pools, ...pools]) (await pool.acquire(request)).settle({ ok: true });
    await client.flushAll();
    const start = clock.now();
    const next = pools.map((pool) => pool.acquire({ ...request, deadline: start + 90_000 }));
    await clock.runUntil(Promise.any(next));
    expect(clock.now() - start).toBeGreaterThan(60_000);
    await clock.runUntil(Promise.all(next));
  });

  it('works on after the scripts were flushed', async () => {
    const clock = new VirtualClock();
    const pool = createPool(clock, { limits: [{ rpm: 2 }] });
    await pool.acquire(request);
    await client.scriptFlush();
    await pool.acquire(request);
    await expect(pool.acquire({ ...request, deadline: clock.now() + 1_000 })).rejects.toThrow('at its limit');
  });

  it('gives back the reservation of a caller that aborted during the request to Redis', async () => {
    const clock = new VirtualClock();
    const pool = createPool(clock, { limits: [{ rpm: 1 }] });
    await pool.stats();
    const controller = new AbortController();
    const left = pool.acquire(request, { signal: controller.signal });
    controller.abort(new Error('the user left'));
    await expect(left).rejects.toThrow('the user left');
    await expect(
      clock.runUntil(pool.acquire({ ...request, deadline: clock.now() + 2_000 })),
    ).resolves.toBeDefined();
  });

  it('stores no readable key, project or model in Redis', async () => {
    const clock = new VirtualClock();
    const keys = [{ key: keyA, project: 'project-of-alpha' }, keyB];
    const pool = createPool(clock, { keys });
    const failures: Refusal[] = [
      {
        kind: 'auth',
        scope: 'key',
        reason: 'API_KEY_INVALID',
        message: `bad key ${keyA}`,
        project: 'projects/471147114711',
      },
      {
        kind: 'rate-limit',
        scope: 'project-model',
        retryAfterMs: 1_000,
        learned: { rpm: 5 },
        message: `slow ${keyB}`,
      },
    ];
    for (const failure of failures) (await pool.acquire(request)).settle(refused(failure));
    await clock.advance(5_000);
    (await pool.acquire(request)).settle({ ok: true });
    await clock.advance(2_000);
    const found = await everything();
    expect(found.length).toBeGreaterThan(500);
    for (const secret of [keyA, keyB, keyA.slice(-8), 'project-of-alpha', '471147114711', model]) {
      expect(found).not.toContain(secret);
    }
  });
});

/** Distributes the calls over the pools in rotation, like a load balancer. */
function inRotation(pools: readonly KeyPool[]): KeyPool {
  let next = 0;
  return {
    acquire: (...parameters) => {
      next = (next + 1) % pools.length;
      return (pools[next] as KeyPool).acquire(...parameters);
    },
    stats: () => (pools[0] as KeyPool).stats(),
    close: async () => {
      await Promise.all(pools.map((pool) => pool.close()));
    },
  };
}

/** Every name and value in Redis, as text. */
async function everything(): Promise<string> {
  const texts: string[] = [];
  for await (const names of client.scanIterator()) {
    for (const name of names) {
      const read = {
        string: () => client.get(name),
        hash: () => client.hGetAll(name),
        zset: () => client.zRangeWithScores(name, 0, -1),
      }[await client.type(name)];
      texts.push(name, JSON.stringify(await read?.()));
    }
  }
  return texts.join('\n');
}
