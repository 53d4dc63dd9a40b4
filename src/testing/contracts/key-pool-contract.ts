import assert from 'node:assert/strict';
import { ClosedError, KeyPoolExhaustedError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import type { KeyLease, KeyPool, LeaseOutcome, LeaseRequest } from '../../keys/key-pool.js';
import { VirtualClock } from '../virtual-clock.js';
import type { ContractCase } from './contract-case.js';

/** The pool that a case needs: with these keys, on this clock. */
export interface KeyPoolSetup {
  readonly keys: readonly { readonly key: string; readonly project: string }[];
  readonly clock: VirtualClock;
}

const model = 'contract-model';
const keys = [
  { key: 'contract-key-one-0000000001', project: 'alpha' },
  { key: 'contract-key-two-0000000002', project: 'alpha' },
  { key: 'contract-key-three-00000003', project: 'beta' },
] as const;

const refused = (failure: Pick<Failure, 'kind' | 'scope'> & Partial<Failure>): LeaseOutcome => ({
  ok: false,
  sent: true,
  failure: { message: 'Refused by the contract suite.', ...failure },
});

const invalidKey = refused({ kind: 'auth', scope: 'key', reason: 'API_KEY_LEAKED' });
const spentForTenSeconds = refused({ kind: 'rate-limit', scope: 'project-model', retryAfterMs: 10_000 });

interface Bench {
  readonly pool: KeyPool;
  readonly clock: VirtualClock;
  acquire(request?: Partial<LeaseRequest>, signal?: AbortSignal): Promise<KeyLease>;
  /** Settles one lease of each project with a refusal, so that no project can serve for ten seconds. */
  exhaust(): Promise<void>;
}

/**
 * The guarantees of every `KeyPool`. `create` makes a new pool for each case.
 *
 * @example
 * ```ts
 * for (const { name, run } of keyPoolContract((setup) => new MyPool(setup))) it(name, run);
 * ```
 */
export function keyPoolContract(
  create: (setup: KeyPoolSetup) => KeyPool | Promise<KeyPool>,
): readonly ContractCase[] {
  const withPool = (name: string, check: (bench: Bench) => Promise<void>): ContractCase => ({
    name,
    async run() {
      const clock = new VirtualClock();
      const pool = await create({ keys, clock });
      const acquire = (request: Partial<LeaseRequest> = {}, signal?: AbortSignal) =>
        pool.acquire({ model, estimatedTokens: 10, ...request }, { signal });
      const exhaust = async () => {
        for (const project of ['alpha', 'beta']) (await acquire({ project })).settle(spentForTenSeconds);
      };
      try {
        await check({ pool, clock, acquire, exhaust });
      } finally {
        await pool.close();
      }
    },
  });

  return [
    withPool('leases one of its keys under a masked id', async ({ acquire }) => {
      const lease = await acquire();
      const spec = keys.find(({ key }) => key === lease.key.value);
      assert.ok(spec, 'the lease holds a key that the pool was not given');
      assert.equal(lease.key.project, spec.project);
      assert.ok(!lease.key.id.includes(spec.key), 'the id shows the whole key');
      lease.settle({ ok: true });
    }),

    withPool('shows no key value in its stats', async ({ pool, acquire }) => {
      (await acquire()).settle({ ok: true });
      const shown = JSON.stringify(await pool.stats());
      for (const { key } of keys) assert.ok(!shown.includes(key));
    }),

    withPool('counts calls, successes and failures by key', async ({ pool, acquire }) => {
      const first = await acquire();
      assert.equal((await pool.stats()).inFlight, 1);
      first.settle({ ok: true });
      (await acquire()).settle(refused({ kind: 'incomplete', scope: 'call' }));
      const stats = await pool.stats();
      const sum = (count: (key: (typeof stats.keys)[number]) => number) =>
        stats.keys.reduce((total, key) => total + count(key), 0);
      assert.equal(stats.inFlight, 0);
      assert.deepEqual(
        [sum((key) => key.usageCount), sum((key) => key.successCount), sum((key) => key.failureCount)],
        [2, 1, 1],
      );
      assert.equal(stats.keys.filter((key) => key.isCurrent).length, 1);
    }),

    withPool('ignores a second settlement', async ({ pool, acquire }) => {
      const lease = await acquire();
      lease.settle({ ok: true });
      lease.settle(invalidKey);
      const stats = await pool.stats();
      assert.equal(stats.inFlight, 0);
      assert.ok(stats.keys.every((key) => key.state === 'ready' && key.failureCount === 0));
    }),

    withPool('stops using a bad key, and disables no other key for it', async ({ pool, acquire }) => {
      const bad = await acquire({ project: 'alpha' });
      bad.settle(invalidKey);
      for (let i = 0; i < 4; i += 1) {
        const lease = await acquire({ project: 'alpha' });
        assert.notEqual(lease.key.value, bad.key.value);
        lease.settle({ ok: true });
      }
      const states = (await pool.stats()).keys.map((key) => [key.id === bad.key.id, key.state]);
      assert.ok(states.every(([isBad, state]) => (state === 'disabled') === isBad));
    }),

    withPool('disables no key for an overloaded model', async ({ pool, acquire }) => {
      (await acquire()).settle(refused({ kind: 'overloaded', scope: 'model' }));
      assert.ok((await pool.stats()).keys.every((key) => key.state === 'ready'));
    }),

    withPool('disables no key for a failure of the call itself', async ({ pool, acquire }) => {
      for (const kind of ['invalid-request', 'permission', 'too-large', 'blocked'] as const) {
        (await acquire()).settle(refused({ kind, scope: 'call' }));
      }
      assert.ok((await pool.stats()).keys.every((key) => key.state === 'ready'));
    }),

    withPool('serves from another project when the quota of one is spent', async ({ acquire }) => {
      (await acquire({ project: 'alpha' })).settle(spentForTenSeconds);
      const lease = await acquire();
      assert.equal(lease.key.project, 'beta');
      lease.settle({ ok: true });
    }),

    withPool('waits while no key is free, and serves once one is', async (bench) => {
      await bench.exhaust();
      const startedAt = bench.clock.now();
      const lease = await bench.clock.runUntil(bench.acquire({ deadline: startedAt + 60_000 }));
      assert.ok(bench.clock.now() - startedAt >= 10_000, 'served before the delay that the refusal named');
      lease.settle({ ok: true });
    }),

    withPool('rejects at once when the deadline cannot be met, and names the delay', async (bench) => {
      await bench.exhaust();
      const startedAt = bench.clock.now();
      await assert.rejects(bench.acquire({ deadline: startedAt + 1_000 }), (error) => {
        assert.ok(KeyPoolExhaustedError.isInstance(error));
        assert.ok((error.retryAfterMs ?? 0) >= 9_000, 'the delay is about ten seconds');
        return true;
      });
      assert.equal(bench.clock.now(), startedAt);
    }),

    withPool('rejects a call for a project that has no key', async ({ acquire }) => {
      await assert.rejects(acquire({ project: 'nobody' }), KeyPoolExhaustedError.isInstance);
    }),

    withPool('rejects with the reason of a signal that is already aborted', async ({ pool, acquire }) => {
      const reason = new Error('too late');
      await assert.rejects(acquire({}, AbortSignal.abort(reason)), (error) => error === reason);
      assert.equal((await pool.stats()).inFlight, 0);
    }),

    withPool('rejects a waiting call when it is aborted, and leaves nothing reserved', async (bench) => {
      await bench.exhaust();
      const controller = new AbortController();
      const waiting = bench.acquire({}, controller.signal);
      const reason = new Error('the user left');
      const rejected = assert.rejects(waiting, (error) => error === reason);
      assert.equal((await bench.pool.stats()).queued, 1);
      controller.abort(reason);
      await rejected;
      const { queued, inFlight } = await bench.pool.stats();
      assert.deepEqual({ queued, inFlight }, { queued: 0, inFlight: 0 });
    }),

    withPool('serves the calls of a tenant in order of arrival', async (bench) => {
      await bench.exhaust();
      const served: number[] = [];
      const calls = [0, 1, 2, 3].map(async (place) => {
        const lease = await bench.acquire({ deadline: bench.clock.now() + 120_000 });
        served.push(place);
        lease.settle({ ok: true });
      });
      await bench.clock.runUntil(Promise.all(calls));
      assert.deepEqual(served, [0, 1, 2, 3]);
    }),

    withPool('serves interactive calls before batch calls', async (bench) => {
      await bench.exhaust();
      const served: string[] = [];
      const calls = (['batch', 'interactive'] as const).map(async (priority) => {
        const lease = await bench.acquire({ priority, deadline: bench.clock.now() + 120_000 });
        served.push(priority);
        lease.settle({ ok: true });
      });
      await bench.clock.runUntil(Promise.all(calls));
      assert.deepEqual(served, ['interactive', 'batch']);
    }),

    withPool(
      'rejects waiting and later calls with ClosedError once closed, and still takes settlements',
      async (bench) => {
        const held = await bench.acquire({ model: 'another-model' });
        await bench.exhaust();
        const rejected = assert.rejects(bench.acquire(), ClosedError.isInstance);
        await bench.pool.close();
        await rejected;
        held.settle({ ok: true });
        await assert.rejects(bench.acquire(), ClosedError.isInstance);
      },
    ),
  ];
}
