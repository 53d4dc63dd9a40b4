import { describe, expect, it } from 'vitest';
import type { Failure } from '../../core/failure.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { KeyEvent } from '../key-pool.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';

const dayMs = 86_400_000;
const request = { model: 'gemini-3.8-flash', estimatedTokens: 10 };
const refusal: Failure = {
  kind: 'rate-limit',
  scope: 'project-model',
  message: 'Too many requests.',
  retryAfterMs: 5_000,
};
const invalid: Failure = { kind: 'auth', scope: 'key', message: 'API key not valid.' };
const cutOff: Failure = { kind: 'network', scope: 'call', reason: 'ENOTFOUND', message: 'Not reached.' };

function open(limits: object = {}) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({
    keys: ['the-only-key-0001'],
    limits: [limits],
    clock,
    random: () => 0,
  });
  const fail = async (failure: Failure) =>
    (await pool.acquire(request)).settle({ ok: false, failure, sent: true });
  return { clock, pool, fail };
}

describe('ScheduledKeyPool, when the system clock is set', () => {
  it.each([-dayMs, dayMs])('cools for as long as the service asked, by %i ms', async (jumpMs) => {
    const { clock, fail, pool } = open();
    await fail(refusal);
    const startedAt = clock.now();
    clock.setWallTime(clock.wallTime() + jumpMs);
    await clock.runUntil(pool.acquire({ ...request, deadline: clock.now() + 60_000 }));
    expect(clock.now() - startedAt).toBe(6_000);
  });

  it('keeps to the requests a minute', async () => {
    const { clock, pool } = open({ rpm: 1 });
    await pool.acquire(request);
    const startedAt = clock.now();
    clock.setWallTime(clock.wallTime() + dayMs);
    await clock.runUntil(pool.acquire(request));
    expect(clock.now() - startedAt).toBe(60_300);
  });

  it('tells times as dates', async () => {
    const { clock, fail, pool } = open();
    const events: KeyEvent[] = [];
    pool.onEvent((event) => events.push(event));
    clock.setWallTime(Date.UTC(2030, 0, 1));
    await fail(refusal);
    const [key] = (await pool.stats()).keys;
    expect(events[0]?.until).toBe(Date.UTC(2030, 0, 1) + 6_000);
    expect([key?.until, key?.lastErrorAt]).toEqual([Date.UTC(2030, 0, 1) + 6_000, Date.UTC(2030, 0, 1)]);
    const refused = pool.acquire({ ...request, deadline: clock.now() + 100 });
    await expect(refused).rejects.toThrow(/cooling until 00:00 UTC/);
  });

  it('counts the quota day by the date', async () => {
    const { clock, pool } = open({ rpd: 1 });
    await pool.acquire(request);
    await expect(pool.acquire(request)).rejects.toThrow('daily quota');
    // Back within the same day, then over midnight in Los Angeles.
    clock.setWallTime(clock.wallTime() - 3_600_000);
    await expect(pool.acquire(request)).rejects.toThrow('daily quota');
    clock.setWallTime(clock.wallTime() + dayMs);
    await pool.acquire(request);
    // A whole day back: what was used stays used, until that day ends.
    clock.setWallTime(clock.wallTime() - 2 * dayMs);
    await expect(pool.acquire(request)).rejects.toThrow('daily quota');
    await clock.advance(dayMs);
    await pool.acquire(request);
  });
});

describe('ScheduledKeyPool.stats().allRejected', () => {
  it('is true from the rejection of the last key until one works', async () => {
    const { clock, fail, pool } = open();
    const isRejected = async () => (await pool.stats()).allRejected;
    expect(await isRejected()).toBe(false);
    await fail(refusal);
    expect(await isRejected()).toBe(false);
    await clock.advance(6_000);
    await fail(invalid);
    expect(await isRejected()).toBe(true);
    await clock.advance(3_600_000);
    expect(await isRejected()).toBe(true);
    (await pool.acquire(request)).settle({ ok: true });
    expect(await isRejected()).toBe(false);
  });

  it('is false with another key, and true when the model is forbidden to all projects', async () => {
    const keys = ['the-first-key-0001', 'the-other-key-0002'];
    const pool = new ScheduledKeyPool({ keys, clock: new VirtualClock() });
    const forbidden: Failure = { kind: 'permission', scope: 'project-model', message: 'Forbidden.' };
    for (const expected of [false, true]) {
      (await pool.acquire(request)).settle({ ok: false, failure: forbidden, sent: true });
      expect((await pool.stats()).allRejected).toBe(expected);
    }
  });
});

describe('ScheduledKeyPool, when the service cannot be reached', () => {
  it('refuses calls at once after ten seconds, but lets single ones try', async () => {
    const { clock, fail, pool } = open();
    const beganAt = clock.now();
    while (clock.now() - beganAt < 20_000) {
      const lease = await clock.runUntil(
        pool.acquire({ ...request, deadline: clock.now() + 60_000 }).catch(() => undefined),
      );
      lease?.settle({ ok: false, failure: cutOff, sent: false });
      await clock.advance(100);
    }
    const askedAt = clock.now();
    await expect(pool.acquire({ ...request, deadline: askedAt + 60_000 })).rejects.toThrow('Not reached.');
    expect(clock.now()).toBe(askedAt);
    await clock.advance(30_000);
    (await pool.acquire(request)).settle({ ok: true });
    await fail(refusal);
  });
});
