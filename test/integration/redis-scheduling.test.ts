import {
  ClosedError,
  type KeyPool,
  KeyPoolExhaustedError,
  type LeaseOutcome,
  type LeaseRequest,
  ScheduledKeyPool,
} from 'multimodal-chat';
import { RedisKeyPool, type RedisKeyPoolOptions } from 'multimodal-chat/redis';
import { VirtualClock } from 'multimodal-chat/testing';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';
import { standStill } from '../support/redis-time.js';

const server = await startRedisServer();
const client = createClient({ url: server?.url ?? '' });
if (server !== undefined) await client.connect();
afterAll(async () => {
  if (client.isOpen) client.destroy();
  await server?.stop();
});

const model = 'gemini-3.8-flash';
const minuteMs = 60_000;
const keys = ['alpha', 'beta'].map((project) => ({ key: `the-${project}-key-000000001`, project }));

const open: RedisKeyPool[] = [];
function createPools(
  count: number,
  options: Partial<RedisKeyPoolOptions> = {},
): { clock: VirtualClock; pools: readonly RedisKeyPool[] } {
  const clock = new VirtualClock();
  const pools = Array.from(
    { length: count },
    () =>
      new RedisKeyPool({
        client: standStill(client, clock),
        clock,
        keys,
        random: () => 0.5,
        failClosed: true,
        ...options,
      }),
  );
  open.push(...pools);
  return { clock, pools };
}

beforeEach(async () => {
  if (server !== undefined) await client.flushAll();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.close()));
});

describe.skipIf(server === undefined)('RedisKeyPool with a long backlog in several processes', () => {
  function openBacklog(request: Partial<LeaseRequest>) {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ rpm: 60 }] });
    const startedAt = clock.now();
    const grants: { readonly at: number; readonly caller: string }[] = [];
    const ask = (pool: RedisKeyPool, caller: string, own: Partial<LeaseRequest>) =>
      pool.acquire({ model, estimatedTokens: 10, ...own }).then((lease) => {
        grants.push({ at: clock.now() - startedAt, caller });
        clock.setTimeout(() => lease.settle({ ok: true }), 1_000);
      });
    for (const pool of pools) {
      for (let call = 0; call < 150; call += 1) {
        const granted = ask(pool, 'backlog', { ...request, deadline: startedAt + 10 * minuteMs });
        // The pool is closed before the backlog is served.
        granted.catch((error: unknown) => expect(ClosedError.isInstance(error)).toBe(true));
      }
    }
    return { clock, pools, grants, ask, startedAt };
  }

  it.each([
    ['batch calls', { priority: 'batch' }],
    ['calls of one tenant', { tenant: 'heavy' }],
  ] as const)('paces %s, and leaves quota for other calls in each process', async (_, request) => {
    const { ask, clock, grants, pools, startedAt } = openBacklog(request);
    await clock.advance(2 * minuteMs);
    const waits: number[] = [];
    for (let call = 0; call < 20; call += 1) {
      const askedAt = clock.now();
      await clock.runUntil(ask(pools[call % 2] as RedisKeyPool, 'light', { tenant: 'light' }));
      waits.push(clock.now() - askedAt);
      await clock.advance(3_000);
    }
    expect(Math.max(...waits)).toBeLessThan(8_000);
    await clock.advance(minuteMs);
    const later = grants.filter(({ at }) => at > 2 * minuteMs).map(({ at }) => at);
    const gaps = later.slice(1).map((at, place) => at - (later[place] ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(8_000);
    const minutes = (clock.now() - startedAt) / minuteMs;
    expect(grants.length).toBeGreaterThan(60 * minutes * 0.97);
  });
});

describe.skipIf(server === undefined)('RedisKeyPool with unknown limits', () => {
  it('alternates between quotas while the first refusal may be on its way to another process', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const used: string[] = [];
    for (const pool of [one, two, one, two]) {
      const lease = await clock.runUntil(pool.acquire({ model, estimatedTokens: 10 }));
      used.push(lease.key.project);
      lease.settle({ ok: true });
      await pool.stats();
      await clock.advance(150);
    }
    expect(used[1]).not.toBe(used[0]);
    expect(used[3]).not.toBe(used[2]);
  });
});

describe.skipIf(server === undefined)('RedisKeyPool with a backlog and no other calls', () => {
  it('grants all quota as soon as it is free, in each process', async () => {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ rpm: 60 }] });
    const granted = [0, 0];
    const request = { model, estimatedTokens: 10, deadline: clock.now() + 10 * minuteMs };
    const calls = pools.flatMap((pool, place) =>
      Array.from({ length: 100 }, () =>
        pool.acquire(request).then((lease) => {
          granted[place] = (granted[place] ?? 0) + 1;
          lease.settle({ ok: true });
        }),
      ),
    );
    const ended = Promise.allSettled(calls);
    await clock.advance(62_000);
    expect((granted[0] ?? 0) + (granted[1] ?? 0)).toBe(120);
    expect(Math.min(...granted)).toBeGreaterThan(20);
    await Promise.all(pools.map((pool) => pool.close()));
    await ended;
  });
});

describe.skipIf(server === undefined)(
  'RedisKeyPool with batch calls beside interactive calls of another process',
  () => {
    function openJobsAndPeople() {
      const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ rpm: 60 }] });
      const [jobs, people] = pools as [RedisKeyPool, RedisKeyPool];
      const ask = (pool: RedisKeyPool, own: Partial<LeaseRequest> = {}) =>
        clock.runUntil(
          pool.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 10 * minuteMs, ...own }),
        );
      /** How many batch calls, one after the other, get a key within `withinMs`. */
      const countBatchCalls = async (withinMs: number) => {
        const startedAt = clock.now();
        let granted = 0;
        for (;;) {
          const lease = await ask(jobs, { priority: 'batch' });
          if (clock.now() - startedAt > withinMs) return granted;
          lease.settle({ ok: true });
          granted += 1;
        }
      };
      return { clock, people, ask, countBatchCalls };
    }

    it('paces the batch calls, so that interactive calls find quota at any time', async () => {
      const { ask, clock, countBatchCalls, people } = openJobsAndPeople();
      (await ask(people)).settle({ ok: true });
      // The heartbeat carries the demand to the other process.
      await clock.advance(3_000);
      expect(await countBatchCalls(10_000)).toBeLessThanOrEqual(16);
      const askedAt = clock.now();
      await ask(people);
      expect(clock.now() - askedAt).toBeLessThan(1_000);
    });

    it('grants batch calls all free quota after a minute without interactive calls', async () => {
      const { ask, clock, countBatchCalls, people } = openJobsAndPeople();
      (await ask(people)).settle({ ok: true });
      await clock.advance(2 * minuteMs);
      expect(await countBatchCalls(1_000)).toBe(60);
    });
  },
);

describe.skipIf(server === undefined)('RedisKeyPool with a call larger than the tokens a minute', () => {
  const limit = 10_000;
  const tooMany: LeaseOutcome = {
    ok: false,
    sent: true,
    failure: {
      kind: 'rate-limit',
      scope: 'project-model',
      message: 'Quota exceeded.',
      retryAfterMs: 5_000,
      learned: { tpm: limit },
    },
  };

  it('refuses the call after three refusals by idle quotas, and cuts no limit for it', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    (await two.acquire({ model, estimatedTokens: 100 })).settle({ ok: true });
    const since = clock.now();
    const request = { model, estimatedTokens: 100, since, deadline: since + 5 * minuteMs };
    for (let refusals = 0; refusals < 3; refusals += 1) {
      (await clock.runUntil(one.acquire(request))).settle(tooMany);
    }
    await expect(one.acquire(request)).rejects.toThrow(/limited to 10000 input tokens.*needs about 10001/);
    const usable = (await two.stats()).keys.map(({ windows }) => windows?.[0]?.tpm.value);
    expect(usable).toEqual([limit, limit]);
  });

  it('does not suspect a call when another process has used the quota', async () => {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ tpm: limit }] });
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const since = clock.now();
    for (let refusals = 0; refusals < 4; refusals += 1) {
      (
        await clock.runUntil(two.acquire({ model, estimatedTokens: 7_000, deadline: since + 10 * minuteMs }))
      ).settle({ ok: true });
      const request = { model, estimatedTokens: 100, since, deadline: since + 10 * minuteMs };
      (await clock.runUntil(one.acquire(request))).settle(tooMany);
      await clock.advance(70_000);
    }
    await expect(
      clock.runUntil(one.acquire({ model, estimatedTokens: 100, since, deadline: clock.now() + minuteMs })),
    ).resolves.toBeDefined();
  });
});

describe.skipIf(server === undefined)('RedisKeyPool with a model that fails', () => {
  const overloaded: LeaseOutcome = {
    ok: false,
    sent: true,
    failure: { kind: 'overloaded', scope: 'model', message: 'The model is overloaded.', status: 503 },
  };

  it('pauses the model in all processes, and sends one probe for all of them', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const request = { model, estimatedTokens: 10 };
    for (const lease of await Promise.all([1, 2, 3].map(() => one.acquire(request))))
      lease.settle(overloaded);
    let granted = 0;
    const calls = Array.from({ length: 6 }, (_, call) =>
      (pools[call % 2] as RedisKeyPool)
        .acquire({ ...request, deadline: clock.now() + minuteMs })
        .then((lease) => {
          granted += 1;
          return lease;
        }),
    );
    await clock.advance(500);
    expect(granted).toBe(0);
    const probe = await clock.runUntil(Promise.race(calls));
    await clock.advance(500);
    expect(granted).toBe(1);
    probe.settle({ ok: true });
    await clock.advance(1_500);
    expect(granted).toBe(6);
    expect((await two.stats()).parkedModels).toEqual([]);
  });

  it.each([
    ['serves it once the probe succeeds', { ok: true }, true],
    ['refuses it once the probe fails', overloaded, false],
  ] as const)(
    'lets a call near its deadline wait for the probe of another process, and %s',
    async (_, outcome, isServed) => {
      const { clock, pools } = createPools(2);
      const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
      const request = { model, estimatedTokens: 10 };
      for (const lease of await Promise.all([1, 2, 3].map(() => one.acquire(request))))
        lease.settle(overloaded);
      const probe = await clock.runUntil(one.acquire({ ...request, deadline: clock.now() + minuteMs }));
      const deadline = clock.now() + 800;
      const waiting = two.acquire({ ...request, deadline }).then(
        (lease) => lease.settle({ ok: true }),
        (error: unknown) => error,
      );
      await clock.advance(400);
      probe.settle(outcome);
      const answer = await clock.runUntil(waiting);
      expect(clock.now()).toBeLessThanOrEqual(deadline);
      if (isServed) expect(answer).toBeUndefined();
      else expect(answer).toBeInstanceOf(KeyPoolExhaustedError);
    },
  );

  it('pauses the model equally long whichever process sends the probe', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const request = { model, estimatedTokens: 10 };
    for (const lease of await Promise.all([1, 2, 3].map(() => one.acquire(request))))
      lease.settle(overloaded);
    const probe = await clock.runUntil(two.acquire({ ...request, deadline: clock.now() + minuteMs }));
    await clock.advance(2_000);
    const failedAt = clock.now();
    probe.settle(overloaded);
    await clock.runUntil(two.acquire({ ...request, deadline: clock.now() + minuteMs }));
    expect(clock.now() - failedAt).toBeLessThan(2_000);
  });
});

describe.skipIf(server === undefined)('RedisKeyPool with a lease that is never settled', () => {
  it('reclaims it after its deadline, also in the ledger', async () => {
    const { clock, pools } = createPools(2, {
      maxInFlight: 1,
      maxInFlightPerProjectModel: 1,
      keys: keys.slice(0, 1),
      maxLeaseMs: minuteMs,
    });
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    await one.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 1_000 });
    const waiting = two.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 10 * minuteMs });
    const start = clock.now();
    await clock.runUntil(waiting);
    expect(clock.now() - start).toBeGreaterThan(minuteMs);
    expect((await one.stats()).inFlight).toBe(0);
  });
});

describe.skipIf(server === undefined)('A cool-down after refusals without a hint', () => {
  const refusal: LeaseOutcome = {
    ok: false,
    sent: true,
    failure: { kind: 'rate-limit', scope: 'project-model', message: 'Quota exceeded.' },
  };
  const openScheduled = (): { clock: VirtualClock; pool: KeyPool } => {
    const clock = new VirtualClock();
    return { clock, pool: new ScheduledKeyPool({ keys: keys.slice(0, 1), clock, random: () => 0.5 }) };
  };
  const openShared = (): { clock: VirtualClock; pool: KeyPool } => {
    const { clock, pools } = createPools(1, { keys: keys.slice(0, 1) });
    return { clock, pool: pools[0] as RedisKeyPool };
  };

  it.each([
    ['ScheduledKeyPool', openScheduled],
    ['RedisKeyPool', openShared],
  ])('ends when the oldest request leaves the window, with %s', async (_, openPool) => {
    const { clock, pool } = openPool();
    const acquire = () =>
      clock.runUntil(pool.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 2 * minuteMs }));
    (await acquire()).settle({ ok: true });
    await clock.advance(30_000);
    const cooldowns: number[] = [];
    let lease = await acquire();
    for (let refusals = 0; refusals < 3; refusals += 1) {
      lease.settle(refusal);
      const refusedAt = clock.now();
      lease = await acquire();
      cooldowns.push(clock.now() - refusedAt);
    }
    lease.settle({ ok: true });
    // With half a second of jitter. The third one would be 20 s, and ends after 60.3 s from the start instead.
    for (const [place, expected] of [5_500, 10_500, 14_800].entries()) {
      expect(Math.abs((cooldowns[place] ?? 0) - expected)).toBeLessThan(300);
    }
  });
});
