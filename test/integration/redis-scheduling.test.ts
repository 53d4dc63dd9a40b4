import { KeyPoolExhaustedError, type LeaseOutcome, type LeaseRequest } from 'multimodal-chat';
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

describe.skipIf(server === undefined)('A long backlog in several processes', () => {
  function openBacklog(need: Partial<LeaseRequest>) {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ rpm: 60 }] });
    const startedAt = clock.now();
    const grants: { readonly at: number; readonly who: string }[] = [];
    const ask = (pool: RedisKeyPool, who: string, asked: Partial<LeaseRequest>) =>
      pool.acquire({ model, estimatedTokens: 10, ...asked }).then((lease) => {
        grants.push({ at: clock.now() - startedAt, who });
        clock.setTimeout(() => lease.settle({ ok: true }), 1_000);
      });
    for (const pool of pools) {
      for (let call = 0; call < 150; call += 1) {
        const asked = ask(pool, 'backlog', { ...need, deadline: startedAt + 10 * minuteMs });
        asked.catch((error: unknown) => expect(KeyPoolExhaustedError.isInstance(error)).toBe(true));
      }
    }
    return { clock, pools, grants, ask, startedAt };
  }

  it.each([
    ['batch calls', { priority: 'batch' }],
    ['calls of one tenant', { tenant: 'heavy' }],
  ] as const)('of %s is served evenly and leaves quota for others in each of them', async (_, need) => {
    const { ask, clock, grants, pools, startedAt } = openBacklog(need);
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

describe.skipIf(server === undefined)('Quotas that nobody knows yet', () => {
  it('are tried in turn while the first refusal may be on its way to another process', async () => {
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

describe.skipIf(server === undefined)('A long backlog where nobody else asks', () => {
  it('takes all quota as soon as it is free, wherever it waits', async () => {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ rpm: 60 }] });
    const granted = [0, 0];
    const need = { model, estimatedTokens: 10, deadline: clock.now() + 10 * minuteMs };
    const calls = pools.flatMap((pool, place) =>
      Array.from({ length: 100 }, () =>
        pool.acquire(need).then((lease) => {
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

describe.skipIf(server === undefined)('Batch calls while people ask another process', () => {
  function openJobsAndPeople() {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ rpm: 60 }] });
    const [jobs, people] = pools as [RedisKeyPool, RedisKeyPool];
    const ask = (pool: RedisKeyPool, asked: Partial<LeaseRequest> = {}) =>
      clock.runUntil(
        pool.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 10 * minuteMs, ...asked }),
      );
    /** How many batch calls, one after the other, get a key within so many milliseconds. */
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

  it('are served evenly, so that people find quota at any time', async () => {
    const { ask, clock, countBatchCalls, people } = openJobsAndPeople();
    (await ask(people)).settle({ ok: true });
    // Until the other process has heard of it.
    await clock.advance(3_000);
    expect(await countBatchCalls(10_000)).toBeLessThanOrEqual(16);
    const askedAt = clock.now();
    await ask(people);
    expect(clock.now() - askedAt).toBeLessThan(1_000);
  });

  it('take whatever is free once people have not asked for a minute', async () => {
    const { ask, clock, countBatchCalls, people } = openJobsAndPeople();
    (await ask(people)).settle({ ok: true });
    await clock.advance(2 * minuteMs);
    expect(await countBatchCalls(1_000)).toBe(60);
  });
});

describe.skipIf(server === undefined)('A call that is larger than the tokens a minute', () => {
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

  it('is given up after three refusals by idle quotas, and costs no process any quota', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    (await two.acquire({ model, estimatedTokens: 100 })).settle({ ok: true });
    const since = clock.now();
    const need = { model, estimatedTokens: 100, since, deadline: since + 5 * minuteMs };
    for (let refusals = 0; refusals < 3; refusals += 1) {
      (await clock.runUntil(one.acquire(need))).settle(tooMany);
    }
    await expect(one.acquire(need)).rejects.toThrow(/limited to 10000 input tokens.*needs about 10001/);
    const usable = (await two.stats()).keys.map(({ windows }) => windows?.[0]?.tpm.value);
    expect(usable).toEqual([limit, limit]);
  });

  it('is not suspected where another process has used the quota', async () => {
    const { clock, pools } = createPools(2, { keys: keys.slice(0, 1), limits: [{ tpm: limit }] });
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const since = clock.now();
    for (let refusals = 0; refusals < 4; refusals += 1) {
      (
        await clock.runUntil(two.acquire({ model, estimatedTokens: 7_000, deadline: since + 10 * minuteMs }))
      ).settle({ ok: true });
      const need = { model, estimatedTokens: 100, since, deadline: since + 10 * minuteMs };
      (await clock.runUntil(one.acquire(need))).settle(tooMany);
      await clock.advance(70_000);
    }
    await expect(
      clock.runUntil(one.acquire({ model, estimatedTokens: 100, since, deadline: clock.now() + minuteMs })),
    ).resolves.toBeDefined();
  });
});

describe.skipIf(server === undefined)('A model that fails', () => {
  const overloaded: LeaseOutcome = {
    ok: false,
    sent: true,
    failure: { kind: 'overloaded', scope: 'model', message: 'The model is overloaded.', status: 503 },
  };

  it('is parked for all processes by the one that finds out, and probed once between them', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const need = { model, estimatedTokens: 10 };
    for (const lease of await Promise.all([1, 2, 3].map(() => one.acquire(need)))) lease.settle(overloaded);
    let granted = 0;
    const calls = Array.from({ length: 6 }, (_, call) =>
      (pools[call % 2] as RedisKeyPool)
        .acquire({ ...need, deadline: clock.now() + minuteMs })
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
    ['serves it once that succeeds', { ok: true }, true],
    ['refuses it once that fails', overloaded, false],
  ] as const)(
    'lets a call with little time wait for the probe of another process, and %s',
    async (_, outcome, isServed) => {
      const { clock, pools } = createPools(2);
      const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
      const need = { model, estimatedTokens: 10 };
      for (const lease of await Promise.all([1, 2, 3].map(() => one.acquire(need)))) lease.settle(overloaded);
      const probe = await clock.runUntil(one.acquire({ ...need, deadline: clock.now() + minuteMs }));
      const deadline = clock.now() + 800;
      const waiting = two.acquire({ ...need, deadline }).then(
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

  it('is paused as long by who only heard of it as by who found out', async () => {
    const { clock, pools } = createPools(2);
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    const need = { model, estimatedTokens: 10 };
    for (const lease of await Promise.all([1, 2, 3].map(() => one.acquire(need)))) lease.settle(overloaded);
    const probe = await clock.runUntil(two.acquire({ ...need, deadline: clock.now() + minuteMs }));
    await clock.advance(2_000);
    const failedAt = clock.now();
    probe.settle(overloaded);
    await clock.runUntil(two.acquire({ ...need, deadline: clock.now() + minuteMs }));
    expect(clock.now() - failedAt).toBeLessThan(2_000);
  });
});

describe.skipIf(server === undefined)('A lease that nobody settles', () => {
  it('is taken back long after its deadline, in the ledger, too', async () => {
    const { clock, pools } = createPools(2, {
      maxInFlight: 1,
      maxInFlightPerProjectModel: 1,
      keys: keys.slice(0, 1),
      maxLeaseMs: minuteMs,
    });
    const [one, two] = pools as [RedisKeyPool, RedisKeyPool];
    await one.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 1_000 });
    const asked = two.acquire({ model, estimatedTokens: 10, deadline: clock.now() + 10 * minuteMs });
    const start = clock.now();
    await clock.runUntil(asked);
    expect(clock.now() - start).toBeGreaterThan(minuteMs);
    expect((await one.stats()).inFlight).toBe(0);
  });
});
