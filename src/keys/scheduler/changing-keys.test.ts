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

describe('While calls run', () => {
  it('an added key serves at once what waits', async () => {
    const { acquire, pool, clock } = open({ limits: [{ rpm: 1 }] });
    await acquire();
    const waiting = acquire({ deadline: clock.now() + 90_000 });
    pool.addKeys([beta]);
    await clock.advance(0);
    expect((await waiting).key.project).toBe('beta');
  });

  it('an added key of a known project shares its quota', async () => {
    const { acquire, pool, clock } = open({ limits: [{ rpm: 1 }] });
    await acquire();
    pool.addKeys([{ key: 'other-alpha-key-0003', project: 'alpha' }]);
    await expect(acquire({ deadline: clock.now() })).rejects.toThrow(/at their limit/);
  });

  it('a key that is added twice is there once, with what is known of it', async () => {
    const { acquire, pool } = open();
    (await acquire()).settle({ ok: true });
    pool.addKeys([alpha, alpha.key]);
    const { keys } = await pool.stats();
    expect(keys).toMatchObject([{ project: 'alpha', usageCount: 1 }]);
  });

  it('a removed key serves no more, and what it runs may finish', async () => {
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

  it('the removal of the last key refuses what waits', async () => {
    const { acquire, clock, pool } = open({ limits: [{ rpm: 1 }] });
    const { key } = await acquire();
    const waiting = acquire({ deadline: clock.now() + 90_000 });
    const refused = expect(waiting).rejects.toThrow('The key pool has no keys. Add one with addKeys().');
    pool.removeKey(key.id);
    await refused;
  });

  it('the removal of an unknown key changes nothing', async () => {
    const { pool } = open();
    expect(pool.removeKey('key_9_...none')).toBe(false);
    expect((await pool.stats()).keys).toHaveLength(1);
  });

  it('a key that comes back to its project finds the quota as it was', async () => {
    const { acquire, pool, clock } = open({ limits: [{ rpm: 1 }] });
    const { key } = await acquire();
    pool.removeKey(key.id);
    pool.addKeys([alpha]);
    await expect(acquire({ deadline: clock.now() })).rejects.toThrow(/at its limit/);
  });
});

describe('A lease that nobody settles', () => {
  it('gives its place to a call that waits', async () => {
    const { acquire, clock, pool } = open({ maxInFlight: 1, maxLeaseMs: 60_000 });
    const start = clock.now();
    const lost = await acquire();
    const waiting = acquire({ deadline: start + 120_000 });
    await clock.runUntil(waiting);
    expect(clock.now() - start).toBe(60_000);
    lost.settle({ ok: true });
    expect(await pool.stats()).toMatchObject({ inFlight: 1, keys: [{ successCount: 0, failureCount: 1 }] });
  });

  it('is not taken back as long as its call may run', async () => {
    const { acquire, clock } = open({ maxInFlight: 1, maxLeaseMs: 60_000 });
    const start = clock.now();
    await acquire({ deadline: start + 300_000 });
    const waiting = acquire({ deadline: start + 600_000 });
    await clock.runUntil(waiting);
    expect(clock.now() - start).toBe(360_000);
  });
});
