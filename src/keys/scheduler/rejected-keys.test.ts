import { describe, expect, it } from 'vitest';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { KeyProbe, LeaseRequest } from '../key-pool.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';
import type { ScheduledKeyPoolOptions } from './scheduled-key-pool-options.js';

const model = 'gemini-3.8-flash';
const minuteMs = 60_000;
const keys = ['alpha', 'beta', 'gamma'].map((project) => ({ key: `key-of-${project}-0001`, project }));

function open(options: Partial<ScheduledKeyPoolOptions> = {}) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({ keys, clock, random: () => 0.5, ...options });
  const acquire = (request: Partial<LeaseRequest> = {}) =>
    pool.acquire({ model, estimatedTokens: 100, deadline: clock.now() + 5 * minuteMs, ...request });
  const rejectAll = async (failure: Failure) => {
    for (const _ of keys) (await acquire()).settle({ ok: false, sent: true, failure });
  };
  /** The refusal of a call, which comes without any time passing. */
  const refusal = async (request: Partial<LeaseRequest> = {}): Promise<KeyPoolExhaustedError> => {
    const at = clock.now();
    const error = await acquire(request).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(clock.now()).toBe(at);
    if (!KeyPoolExhaustedError.isInstance(error)) throw new Error(`not refused: ${String(error)}`);
    return error;
  };
  return { clock, pool, acquire, rejectAll, refusal };
}

const failed = (kind: Failure['kind'], scope: Failure['scope'], rest: Partial<Failure> = {}): Failure => ({
  kind,
  scope,
  message: `Rejected as ${kind}.`,
  ...rest,
});

const rejections: readonly [name: string, failure: Failure][] = [
  ['invalid keys', failed('auth', 'key', { reason: 'API_KEY_INVALID' })],
  ['expired keys', failed('auth', 'key', { reason: 'API_KEY_EXPIRED' })],
  ['keys without a reason', failed('auth', 'key')],
  ['restricted keys', failed('permission', 'key', { reason: 'API_KEY_SERVICE_BLOCKED' })],
  ['a disabled service', failed('permission', 'project', { reason: 'SERVICE_DISABLED' })],
  ['suspended projects', failed('permission', 'project', { reason: 'CONSUMER_SUSPENDED' })],
  ['missing billing', failed('billing', 'project')],
  ['a forbidden model', failed('permission', 'project-model')],
  ['no quota at all', failed('no-quota', 'project-model')],
];

describe.each(rejections)('ScheduledKeyPool after a rejection of all keys: %s', (_, failure) => {
  it('refuses every call at once with the reason and the time of the next try, also shortly before it', async () => {
    const { clock, rejectAll, refusal } = open();
    await rejectAll(failure);
    const first = await refusal();
    const waitMs = first.retryAfterMs ?? Number.NaN;
    expect(waitMs).toBeGreaterThanOrEqual(5 * minuteMs);
    for (const passedMs of [1_000, waitMs / 2, waitMs - 60_000, waitMs - 1]) {
      await clock.advance(clock.now() === 0 ? passedMs : 0);
      for (let i = 0; i < 100; i += 1) expect((await refusal()).message).toContain(failure.message);
    }
    await clock.advance(waitMs - 500);
    expect((await refusal()).retryAfterMs).toBe(500);
  });

  it('lets one call try after the pause, and refuses the others meanwhile', async () => {
    const { clock, acquire, refusal } = open({ keys: keys.slice(0, 1) });
    (await acquire()).settle({ ok: false, sent: true, failure });
    await clock.advance((await refusal()).retryAfterMs ?? 0);
    const probe = await acquire();
    expect((await refusal()).retryAfterMs).toBeGreaterThan(0);
    probe.settle({ ok: true });
    (await acquire()).settle({ ok: true });
  });
});

describe('ScheduledKeyPool with a probe', () => {
  const invalid = failed('auth', 'key', { reason: 'API_KEY_INVALID' });

  function openWithProbe(answer: KeyProbe) {
    const opened = open();
    const probed: string[] = [];
    const withdraw = opened.pool.useProbe((call, options) => {
      expect(call.model).toBe(model);
      probed.push(call.key);
      return answer(call, options);
    });
    return { ...opened, probed, withdraw };
  }

  it('finds out by itself that a key works again, before any call tries it', async () => {
    let failure: Failure | undefined = invalid;
    const { clock, acquire, rejectAll, refusal, probed } = openWithProbe(async () => failure);
    await rejectAll(invalid);
    const { retryAfterMs = 0 } = await refusal();
    await clock.advance(retryAfterMs);
    expect(new Set(probed)).toEqual(new Set(keys.map(({ key }) => key)));
    const later = (await refusal()).retryAfterMs ?? 0;
    expect(later).toBeGreaterThan(retryAfterMs);
    failure = undefined;
    await clock.advance(later);
    for (const _ of keys) (await acquire()).settle({ ok: true });
  });

  it('tries a key at growing intervals of at most an hour, even one that was leaked', async () => {
    const leaked = failed('auth', 'key', { reason: 'API_KEY_LEAKED' });
    const { clock, rejectAll, probed } = openWithProbe(async () => leaked);
    await rejectAll(leaked);
    await clock.advance(24 * 60 * minuteMs);
    const tries = probed.filter((key) => key === keys[0]?.key).length;
    expect(tries).toBeGreaterThanOrEqual(24);
    expect(tries).toBeLessThanOrEqual(34);
  });

  it.each<[string, KeyProbe]>([
    ['throws', () => Promise.reject(new Error('no network'))],
    ['never answers', () => new Promise(() => undefined)],
    ['meets an overloaded model', async () => failed('overloaded', 'model')],
  ])('keeps the key blocked after a probe that %s, and tries again', async (_, answer) => {
    const { clock, rejectAll, refusal, probed } = openWithProbe(answer);
    await rejectAll(invalid);
    await clock.advance(10 * minuteMs);
    expect((await refusal()).message).toContain(invalid.message);
    expect(probed.length).toBeGreaterThan(3 * keys.length);
  });

  it('takes a refusal for the rate as a proof that the key works', async () => {
    const { clock, acquire, rejectAll, refusal } = openWithProbe(async () =>
      failed('rate-limit', 'project-model'),
    );
    await rejectAll(invalid);
    await clock.advance((await refusal()).retryAfterMs ?? 0);
    (await acquire()).settle({ ok: true });
  });

  it('probes a project with one of its keys', async () => {
    const { clock, acquire, rejectAll, refusal, probed } = openWithProbe(async () => undefined);
    await rejectAll(failed('permission', 'project', { reason: 'SERVICE_DISABLED' }));
    await clock.advance((await refusal()).retryAfterMs ?? 0);
    expect(probed).toHaveLength(keys.length);
    (await acquire()).settle({ ok: true });
  });

  it('probes less and less often if calls are rejected that the probe does not foresee', async () => {
    const { clock, acquire, rejectAll, refusal } = openWithProbe(async () => undefined);
    const billing = failed('billing', 'project');
    await rejectAll(billing);
    let before = 0;
    for (let round = 0; round < 4; round += 1) {
      const { retryAfterMs = 0 } = await refusal();
      expect(retryAfterMs).toBeGreaterThan(before);
      before = retryAfterMs;
      await clock.advance(retryAfterMs);
      for (const _ of keys) (await acquire()).settle({ ok: false, sent: true, failure: billing });
    }
  });

  it('serves the calls that wait as soon as a probe succeeds', async () => {
    const { clock, acquire, pool } = openWithProbe(async () => undefined);
    for (const { project } of keys.slice(0, 2)) {
      (await acquire({ project })).settle({ ok: false, sent: true, failure: invalid });
    }
    const cooled = failed('rate-limit', 'project-model', { retryAfterMs: 80_000 });
    (await acquire({ project: 'gamma' })).settle({ ok: false, sent: true, failure: cooled });
    const waiting = acquire();
    expect((await pool.stats()).queued).toBe(1);
    await clock.advance(30_000);
    expect((await waiting).key.project).not.toBe('gamma');
  });

  it('probes no more once the probe is taken back or the pool is closed', async () => {
    for (const end of ['withdraw', 'close'] as const) {
      const { clock, pool, rejectAll, probed, withdraw } = openWithProbe(async () => invalid);
      await rejectAll(invalid);
      if (end === 'withdraw') withdraw();
      else await pool.close();
      await clock.advance(60 * minuteMs);
      expect(probed).toEqual([]);
    }
  });
});

describe('ScheduledKeyPool, patience', () => {
  const cooledFor = (retryAfterMs: number) => failed('rate-limit', 'project-model', { retryAfterMs });

  it('waits 90 seconds for quota, and refuses at once what needs longer', async () => {
    const patient = open();
    await patient.rejectAll(cooledFor(80_000));
    await patient.clock.runUntil(patient.acquire());
    const impatient = open();
    await impatient.rejectAll(cooledFor(120_000));
    const error = await impatient.refusal();
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(120_000);
    expect(error.message).toMatch(
      /Retry after \d\d:\d\d UTC: a call waits at most 90 s for quota \(maxWaitMs\)/,
    );
  });

  it('lets a call wait its turn until its deadline, unless it says that it does not wait so long', async () => {
    const { clock, acquire, refusal } = open({ keys: keys.slice(0, 1), limits: [{ rpm: 1 }] });
    (await acquire()).settle({ ok: true });
    const waiting = [acquire(), acquire()];
    const error = await refusal({ maxWaitMs: 90_000 });
    expect(error.retryAfterMs).toBeGreaterThan(90_000);
    expect(error.message).toContain('2 calls wait for gemini-3.8-flash already');
    waiting.push(acquire());
    for (const lease of waiting) (await clock.runUntil(lease)).settle({ ok: true });
  });

  it('refuses a waiting call as soon as its last keys are rejected', async () => {
    const { acquire, clock } = open({ keys: keys.slice(0, 1), maxInFlight: 1 });
    const lease = await acquire();
    const waiting = acquire().catch((error: unknown) => error);
    const invalid = failed('auth', 'key', { reason: 'API_KEY_INVALID' });
    lease.settle({ ok: false, sent: true, failure: invalid });
    const at = clock.now();
    expect(KeyPoolExhaustedError.isInstance(await waiting)).toBe(true);
    expect(clock.now()).toBe(at);
  });
});
