import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { KeyEvent, KeyLease, LeaseRequest } from '../key-pool.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';
import type { ScheduledKeyPoolOptions } from './scheduled-key-pool-options.js';

const model = 'gemini-3.8-flash';
const keyA = 'AIzaSyA-first-key-aaaaaaaaaaaaaaaaaaa01';
const keyB = 'AIzaSyB-second-key-bbbbbbbbbbbbbbbbbb02';

function open(options: Partial<ScheduledKeyPoolOptions> = {}) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({ keys: [keyA], clock, random: () => 0.5, ...options });
  const events: KeyEvent[] = [];
  pool.onEvent((event) => events.push(event));
  const acquire = (request: Partial<LeaseRequest> = {}, signal?: AbortSignal) =>
    pool.acquire({ model, estimatedTokens: 100, ...request }, { signal });
  return { clock, pool, events, acquire };
}

const failed = (failure: Partial<Failure> & Pick<Failure, 'kind' | 'scope'>) =>
  ({ ok: false, sent: true, failure: { message: 'Refused for a test.', ...failure } }) as const;

const rejection = async (promise: Promise<unknown>): Promise<KeyPoolExhaustedError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!KeyPoolExhaustedError.isInstance(error)) throw new Error(`expected a refusal, got ${inspect(error)}`);
  return error;
};

describe('ScheduledKeyPool', () => {
  it('holds back a call that would exceed the requests a minute until the window has moved', async () => {
    const { clock, acquire } = open({ limits: [{ rpm: 2 }] });
    const start = clock.now();
    await acquire();
    await acquire();
    const third = acquire({ deadline: start + 90_000 });
    await clock.runUntil(third);
    expect(clock.now() - start).toBe(60_300);
  });

  it('spreads calls over projects of unknown limits, so that few are in flight when the first is refused', async () => {
    const { clock, acquire } = open({ keys: [keyA, keyB] });
    const first = await acquire();
    first.settle({ ok: true });
    const other = await acquire();
    expect(other.key.value).not.toBe(first.key.value);
    await clock.advance(300);
    expect((await acquire()).key.value).toBe(first.key.value);
  });

  it('holds back a call that would exceed the input tokens a minute', async () => {
    const { clock, acquire } = open({ limits: [{ tpm: 1_000 }] });
    const start = clock.now();
    await acquire({ estimatedTokens: 900 });
    await clock.runUntil(acquire({ estimatedTokens: 900, deadline: start + 90_000 }));
    expect(clock.now() - start).toBe(60_300);
  });

  it('charges the real usage in place of the estimate', async () => {
    const { acquire } = open({ limits: [{ tpm: 1_000 }] });
    const lease = await acquire({ estimatedTokens: 900 });
    lease.settle({
      ok: true,
      usage: { inputTokens: 100, outputTokens: 1, thoughtTokens: 0, totalTokens: 101 },
    });
    await expect(acquire({ estimatedTokens: 700 })).resolves.toBeDefined();
  });

  it('ignores a second settlement', async () => {
    const { acquire, pool } = open();
    const lease = await acquire();
    lease.settle({ ok: true });
    lease.settle(failed({ kind: 'auth', scope: 'key' }));
    expect(await pool.stats()).toMatchObject({
      inFlight: 0,
      keys: [{ state: 'ready', successCount: 1, failureCount: 0 }],
    });
  });

  it('refunds a call that was never sent', async () => {
    const { acquire } = open({ limits: [{ rpm: 1 }] });
    const lease = await acquire();
    lease.settle({ ...failed({ kind: 'network', scope: 'call' }), sent: false });
    await expect(acquire()).resolves.toBeDefined();
  });

  it('rejects a call at once that could only start after its deadline, and names the delay', async () => {
    const { acquire, clock } = open({ limits: [{ rpm: 1 }] });
    await acquire();
    await clock.advance(10_000);
    const error = await rejection(acquire({ deadline: clock.now() + 5_000 }));
    expect(error.retryAfterMs).toBe(50_300);
    expect(error.message).toBe('The only key is at its limit for gemini-3.8-flash.');
  });

  it('rejects a call at once that no key can ever serve', async () => {
    const { acquire } = open({ limits: [{ tpm: 1_000 }] });
    const error = await rejection(acquire({ estimatedTokens: 5_000 }));
    expect(error.retryAfterMs).toBeUndefined();
    expect(error.message).toMatch(/1000 input tokens a minute.*needs about 5000/);
  });

  it('blocks a refused quota for the named delay and a second, then sends a single probe', async () => {
    const { acquire, clock, events } = open();
    const start = clock.now();
    (await acquire()).settle(
      failed({ kind: 'rate-limit', scope: 'project-model', retryAfterMs: 10_000, learned: { rpm: 5 } }),
    );
    const probe = await clock.runUntil(acquire());
    expect(clock.now() - start).toBe(11_500);
    let second: KeyLease | undefined;
    void acquire().then((lease) => {
      second = lease;
    });
    await clock.advance(1_000);
    expect(second).toBeUndefined();
    probe.settle({ ok: true });
    await clock.advance(0);
    expect(second).toBeDefined();
    expect(events.map((event) => event.type)).toEqual(['limit-learned', 'cooled', 'recovered']);
  });

  it('calls an event listener until its own subscription ends', async () => {
    const { acquire, pool } = open();
    const seen: string[] = [];
    const listener = ({ type }: KeyEvent) => seen.push(type);
    const [unsubscribe] = [pool.onEvent(listener), pool.onEvent(listener)];
    unsubscribe?.();
    (await acquire()).settle(failed({ kind: 'auth', scope: 'key' }));
    expect(seen).toEqual(['disabled']);
  });

  it('leaves nothing reserved and no timer set when a waiting call is aborted', async () => {
    const { acquire, clock, pool } = open({ limits: [{ rpm: 1 }], maxWaitMs: 120_000 });
    await acquire();
    const controller = new AbortController();
    const waiting = acquire({}, controller.signal);
    expect((await pool.stats()).queued).toBe(1);
    const reason = new Error('the user left');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(await pool.stats()).toMatchObject({ queued: 0, inFlight: 1 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('shows no key value in an inspection, as JSON, in stats or in a lease', async () => {
    const { acquire, pool } = open({ keys: [keyA, { key: keyB, project: 'beta' }, 'short'] });
    const lease = await acquire();
    const shown = [
      inspect(pool, { depth: 10, showHidden: true }),
      JSON.stringify(pool),
      JSON.stringify(await pool.stats()),
      inspect(lease, { depth: 10, showHidden: true }),
      JSON.stringify(lease),
    ].join('\n');
    for (const secret of [keyA, keyB, 'short']) expect(shown).not.toContain(secret);
    expect([keyA, keyB, 'short']).toContain(lease.key.value);
    expect((await pool.stats()).keys.map((key) => key.id)).toEqual([
      'key_1_...aa01',
      'key_2_...bb02',
      'key_3_...****',
    ]);
  });
});
