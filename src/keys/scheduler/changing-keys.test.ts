import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { LeaseRequest } from '../key-pool.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';
import type { ScheduledKeyPoolOptions } from './scheduled-key-pool-options.js';

const model = 'gemini-3.8-flash';
const alpha = { key: 'the-alpha-key-000001', project: 'alpha' };
const beta = { key: 'the-beta-key-0000002', project: 'beta' };

function open(options: Partial<ScheduledKeyPoolOptions> = {}) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({ keys: [alpha], clock, random: () => 0.5, ...options });
  const acquire = (request: Partial<LeaseRequest> = {}) =>
    pool.acquire({ model, estimatedTokens: 100, ...request });
  return { clock, pool, acquire };
}

describe('ScheduledKeyPool with changing keys', () => {
  it('serves waiting calls with an added key at once', async () => {
    const { acquire, pool, clock } = open({ limits: [{ rpm: 1 }] });
    await acquire();
    const waiting = acquire({ deadline: clock.now() + 90_000 });
    pool.addKeys([beta]);
    await clock.advance(0);
    expect((await waiting).key.project).toBe('beta');
  });

  it('charges an added key to the quota of its project', async () => {
    const { acquire, pool, clock } = open({ limits: [{ rpm: 1 }] });
    await acquire();
    pool.addKeys([{ key: 'other-alpha-key-0003', project: 'alpha' }]);
    await expect(acquire({ deadline: clock.now() })).rejects.toThrow(/at their limit/);
  });

  it('keeps a key that is added again, with its counters', async () => {
    const { acquire, pool } = open();
    (await acquire()).settle({ ok: true });
    pool.addKeys([alpha, alpha.key]);
    const { keys } = await pool.stats();
    expect(keys).toMatchObject([{ project: 'alpha', usageCount: 1 }]);
  });

  it('stops using a removed key, and lets its calls in flight finish', async () => {
    const { acquire, pool } = open({ keys: [alpha, beta] });
    const leases = [await acquire(), await acquire()];
    const ofAlpha = leases.find(({ key }) => key.project === 'alpha');
    expect(pool.removeKey(ofAlpha?.key.id ?? '')).toBe(true);
    expect((await acquire()).key.project).toBe('beta');
    expect((await acquire()).key.project).toBe('beta');
    expect((await pool.stats()).inFlight).toBe(4);
    for (const lease of leases) lease.settle({ ok: true });
    expect(await pool.stats()).toMatchObject({ inFlight: 2, keys: [{ project: 'beta', successCount: 1 }] });
  });

  it('refuses waiting calls when the last key is removed', async () => {
    const { acquire, clock, pool } = open({ limits: [{ rpm: 1 }] });
    const { key } = await acquire();
    const waiting = acquire({ deadline: clock.now() + 90_000 });
    const refused = expect(waiting).rejects.toThrow('The key pool has no keys. Add one with addKeys().');
    pool.removeKey(key.id);
    await refused;
  });

  it('ignores the removal of an unknown key', async () => {
    const { pool } = open();
    expect(pool.removeKey('key_9_...none')).toBe(false);
    expect((await pool.stats()).keys).toHaveLength(1);
  });

  it('keeps the used quota of a project whose key is removed and added again', async () => {
    const { acquire, pool, clock } = open({ limits: [{ rpm: 1 }] });
    const { key } = await acquire();
    pool.removeKey(key.id);
    pool.addKeys([alpha]);
    await expect(acquire({ deadline: clock.now() })).rejects.toThrow(/at its limit/);
  });
});

describe('ScheduledKeyPool with a lease that is never settled', () => {
  it('gives its place to a waiting call after `maxLeaseMs`', async () => {
    const { acquire, clock, pool } = open({ maxInFlight: 1, maxLeaseMs: 60_000 });
    const start = clock.now();
    const lost = await acquire();
    const waiting = acquire({ deadline: start + 120_000 });
    await clock.runUntil(waiting);
    expect(clock.now() - start).toBe(60_000);
    lost.settle({ ok: true });
    expect(await pool.stats()).toMatchObject({ inFlight: 1, keys: [{ successCount: 0, failureCount: 1 }] });
  });

  it('keeps it until `maxLeaseMs` after its deadline', async () => {
    const { acquire, clock } = open({ maxInFlight: 1, maxLeaseMs: 60_000 });
    const start = clock.now();
    await acquire({ deadline: start + 300_000 });
    const waiting = acquire({ deadline: start + 600_000 });
    await clock.runUntil(waiting);
    expect(clock.now() - start).toBe(360_000);
  });
});
