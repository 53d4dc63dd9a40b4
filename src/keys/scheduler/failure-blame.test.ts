import { describe, expect, it } from 'vitest';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { KeyEvent, LeaseOutcome, LeaseRequest } from '../key-pool.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';
import type { ScheduledKeyPoolOptions } from './scheduled-key-pool-options.js';

const model = 'gemini-3.8-flash';
const otherModel = 'gemini-3.5-flash-lite';
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

const labelled = [
  { key: 'first-alpha-key-0001', project: 'alpha' },
  { key: 'other-alpha-key-0002', project: 'alpha' },
  { key: 'the-beta-key-0000003', project: 'beta' },
];

function open(options: Partial<ScheduledKeyPoolOptions> = {}) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({ keys: labelled, clock, random: () => 0.5, ...options });
  const events: KeyEvent[] = [];
  pool.onEvent((event) => events.push(event));
  const acquire = (request: Partial<LeaseRequest> = {}) =>
    pool.acquire({ model, estimatedTokens: 100, deadline: clock.now(), ...request });
  const call = async (outcome: LeaseOutcome, request: Partial<LeaseRequest> = {}) => {
    const lease = await acquire(request);
    lease.settle(outcome);
    return lease.key;
  };
  /** The keys that a call could get now. */
  const usable = async (request: Partial<LeaseRequest> = {}) => {
    const leases = [];
    for (let i = 0; i < 6; i += 1) {
      // A refusal means that no further key is usable.
      const lease = await acquire(request).catch(() => undefined);
      if (lease !== undefined) leases.push(lease);
    }
    for (const lease of leases) {
      const failure: Failure = { kind: 'incomplete', scope: 'call', message: 'Only looked.' };
      lease.settle({ ok: false, sent: false, failure });
    }
    return [...new Set(leases.map((lease) => lease.key.value))].sort();
  };
  return { clock, pool, events, acquire, call, usable };
}

const ok: LeaseOutcome = { ok: true };
const failed = (
  kind: Failure['kind'],
  scope: Failure['scope'],
  rest: Partial<Failure> = {},
): LeaseOutcome => ({
  ok: false,
  sent: true,
  failure: { kind, scope, message: `It was ${kind}.`, ...rest },
});

const messageOf = async (promise: Promise<unknown>) => {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  return KeyPoolExhaustedError.isInstance(error) ? error.message : `not refused: ${String(error)}`;
};

describe('ScheduledKeyPool after a failure', () => {
  it('disables an invalid key, and probes it after five minutes and then once an hour', async () => {
    const { clock, call, usable } = open({ keys: ['the-only-key-00001'] });
    const invalid = failed('auth', 'key', { reason: 'API_KEY_INVALID' });
    await call(invalid);
    expect(await usable()).toEqual([]);
    await clock.advance(5 * minuteMs);
    await call(invalid);
    for (let hour = 0; hour < 3; hour += 1) {
      await clock.advance(hourMs - 1);
      expect(await usable()).toEqual([]);
      await clock.advance(1);
      await call(invalid);
    }
  });

  it('enables an invalid key again that works after five minutes', async () => {
    const { clock, call, events } = open({ keys: ['the-only-key-00001'] });
    await call(failed('auth', 'key', { reason: 'API_KEY_INVALID' }));
    await clock.advance(5 * minuteMs);
    await call(ok);
    await call(ok);
    expect(events.map(({ type }) => type)).toEqual(['disabled', 'recovered']);
  });

  it('disables a leaked key for good', async () => {
    const { clock, call, usable } = open();
    const { value } = await call(failed('auth', 'key', { reason: 'API_KEY_LEAKED' }));
    await clock.advance(48 * hourMs);
    expect(await usable()).not.toContain(value);
    expect(await usable()).toHaveLength(2);
  });

  it('blocks a project and model with a spent daily quota until midnight in Los Angeles, with one probe an hour', async () => {
    const { clock, call, usable, events } = open({ keys: ['the-only-key-00001'] });
    const start = clock.now();
    const spent = failed('daily-quota', 'project-model', { retryAfterMs: 30_000 });
    await call(spent);
    expect(events).toMatchObject([{ type: 'cooled', model, until: start + hourMs }]);
    expect(await usable({ model: otherModel })).toHaveLength(1);
    let probes = 0;
    for (let minute = 0; minute < 19 * 60; minute += 1) {
      await clock.advance(minuteMs);
      await call(spent).then(
        () => {
          probes += 1;
        },
        () => undefined,
      );
    }
    expect(probes).toBe(19);
    // 12:00 UTC plus 20 hours is midnight in Los Angeles in winter.
    await clock.advance(start + 20 * hourMs - clock.now());
    expect(await usable()).toHaveLength(1);
  });

  it('blocks a project and model without any quota for a day, and no other model of the project', async () => {
    const { clock, call, usable } = open({ keys: ['the-only-key-00001'] });
    await call(failed('no-quota', 'project-model', { retryAfterMs: 10_000 }));
    await clock.advance(23 * hourMs);
    expect(await usable()).toEqual([]);
    expect(await usable({ model: otherModel })).toHaveLength(1);
    await clock.advance(hourMs);
    expect(await usable()).toHaveLength(1);
  });

  it('disables all keys of a project whose service is disabled, and probes it after five minutes', async () => {
    const { clock, call, usable } = open();
    await call(failed('permission', 'project', { reason: 'SERVICE_DISABLED' }), { project: 'alpha' });
    expect(await usable()).toEqual(['the-beta-key-0000003']);
    expect(await usable({ model: otherModel })).toEqual(['the-beta-key-0000003']);
    await clock.advance(5 * minuteMs);
    await call(ok, { project: 'alpha' });
    expect(await usable()).toHaveLength(3);
  });

  it('disables a suspended project, and probes it once an hour', async () => {
    const { clock, call, usable } = open();
    const suspended = failed('permission', 'project', { reason: 'CONSUMER_SUSPENDED' });
    await call(suspended, { project: 'alpha' });
    for (let hour = 0; hour < 2; hour += 1) {
      await clock.advance(hourMs - 1);
      expect(await usable()).toEqual(['the-beta-key-0000003']);
      await clock.advance(1);
      await call(suspended, { project: 'alpha' });
    }
  });

  it('pauses an unavailable model for every key, and no other model', async () => {
    const { call, acquire, usable } = open();
    await call(failed('model-unavailable', 'model'));
    expect(await usable()).toEqual([]);
    expect(await usable({ model: otherModel })).toHaveLength(3);
    expect(await messageOf(acquire())).toMatch(/gemini-3.8-flash cannot be used with any key until .* UTC/);
  });

  it('pauses an overloaded model after most calls failed, and sends single probes', async () => {
    const { clock, call, acquire, usable } = open();
    for (let i = 0; i < 3; i += 1) await call(failed('overloaded', 'model'));
    expect(await usable()).toEqual([]);
    const probe = await clock.runUntil(acquire({ deadline: clock.now() + 30_000 }));
    expect(await usable()).toEqual([]);
    probe.settle(ok);
    expect(await usable()).toHaveLength(3);
  });

  it.each([
    ['serves it once the probe succeeds', ok, undefined],
    ['refuses it once the probe fails', failed('overloaded', 'model'), /cannot be used with any key until/],
  ])(
    'lets a call to an overloaded model wait for the probe under way, and %s',
    async (_, outcome, refusal) => {
      const { clock, call, acquire } = open();
      for (let i = 0; i < 3; i += 1) await call(failed('overloaded', 'model'));
      const probe = await clock.runUntil(acquire({ deadline: clock.now() + 30_000 }));
      const waiting = acquire({ deadline: clock.now() + 500 });
      probe.settle(outcome);
      if (refusal === undefined) (await waiting).settle(ok);
      else expect(await messageOf(waiting)).toMatch(refusal);
    },
  );

  it('blocks nothing for a few overloaded calls among many good ones', async () => {
    const { call, usable } = open();
    for (let i = 0; i < 40; i += 1) await call(i % 10 === 0 ? failed('overloaded', 'model') : ok);
    expect(await usable()).toHaveLength(3);
  });

  it.each(['permission', 'invalid-request', 'blocked', 'too-large', 'incomplete'] as const)(
    'blocks nothing for a failure of the call itself: %s',
    async (kind) => {
      const { call, usable, events } = open();
      for (let i = 0; i < 6; i += 1) await call(failed(kind, 'call'));
      expect(await usable()).toHaveLength(3);
      expect(events).toEqual([]);
    },
  );
});

describe('ScheduledKeyPool with unlabelled keys', () => {
  const consumer = { project: '4711' };

  it('joins keys whose failures name the same project, and counts their calls together', async () => {
    const keys = ['unlabelled-key-00001', 'unlabelled-key-00002'];
    const { pool, call, acquire } = open({ keys, limits: [{ rpm: 4 }] });
    await call(ok);
    await call(ok);
    await call(failed('overloaded', 'model', consumer));
    await call(failed('overloaded', 'model', consumer));
    const { keys: stats } = await pool.stats();
    expect(new Set(stats.map(({ project }) => project)).size).toBe(1);
    expect(stats[0]?.windows?.[0]?.requests).toBe(4);
    expect(await messageOf(acquire())).toBe('All 2 keys are at their limit for gemini-3.8-flash.');
  });

  it('never joins keys that the user put into different projects', async () => {
    const { pool, call } = open();
    for (const project of ['alpha', 'beta']) await call(failed('overloaded', 'model', consumer), { project });
    const { keys } = await pool.stats();
    expect(keys.map(({ project }) => project)).toEqual(['alpha', 'alpha', 'beta']);
  });

  it('settles calls that were in flight when their keys were joined', async () => {
    const { pool, call, acquire } = open({ keys: ['unlabelled-key-00001', 'unlabelled-key-00002'] });
    const [one, other] = [await acquire(), await acquire()];
    one.settle(failed('overloaded', 'model', consumer));
    await call(failed('overloaded', 'model', consumer), { project: other.key.project });
    other.settle(ok);
    const { keys, inFlight } = await pool.stats();
    expect(inFlight).toBe(0);
    expect(keys.map((key) => [key.inFlight, key.windows?.[0]?.inFlight])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });
});

describe('ScheduledKeyPool, refusing a call', () => {
  it('says that all keys are over their daily quota, and until when', async () => {
    const { call, acquire } = open();
    for (const project of ['alpha', 'beta']) {
      await call(failed('daily-quota', 'project-model', { learned: { rpd: 20 } }), { project });
    }
    expect(await messageOf(acquire())).toBe(
      'All 3 keys are over their daily quota until 2026-11-03 08:00 UTC.',
    );
  });

  it('names the date if it is not today', async () => {
    const { call, acquire, clock } = open();
    for (const project of ['alpha', 'beta']) await call(failed('no-quota', 'project-model'), { project });
    const tomorrow = new Date(clock.now() + 24 * hourMs).toISOString().slice(0, 10);
    expect(await messageOf(acquire())).toContain(`cooling until ${tomorrow} `);
  });

  it('says that all keys were rejected, and why', async () => {
    const { call, acquire } = open({ keys: ['bad-key-number-0001', 'bad-key-number-0002'] });
    for (let i = 0; i < 2; i += 1) await call(failed('auth', 'key', { message: 'API key not valid.' }));
    expect(await messageOf(acquire())).toBe('All 2 keys are rejected by Gemini: API key not valid.');
  });

  it('counts the keys for each cause', async () => {
    const { call, acquire } = open();
    await call(failed('auth', 'key', { message: 'API key not valid.' }), { project: 'beta' });
    await call(failed('daily-quota', 'project-model'), { project: 'alpha' });
    expect(await messageOf(acquire())).toMatch(
      /^None of the 3 keys .*: 2 are over their daily quota until 2026-11-03 08:00 UTC; 1 is rejected by Gemini: API key not valid\.$/,
    );
  });

  it('says that no key belongs to the project that owns a resource', async () => {
    const { acquire } = open();
    expect(await messageOf(acquire({ project: 'gamma' }))).toMatch(/No key belongs to project "gamma"/);
  });
});
