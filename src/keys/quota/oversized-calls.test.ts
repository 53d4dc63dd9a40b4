import { describe, expect, it } from 'vitest';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { LeaseOutcome, LeaseRequest } from '../key-pool.js';
import { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';

const model = 'gemini-3.8-flash';
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

function open() {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({
    keys: ['alpha', 'beta'].map((project) => ({ key: `the-${project}-key-000001`, project })),
    clock,
    random: () => 0,
  });
  const acquire = (request: Partial<LeaseRequest> = {}) =>
    clock.runUntil(
      pool.acquire({ model, estimatedTokens: 100, deadline: clock.now() + 300_000, ...request }),
    );
  /** Usable tokens a minute, by project. */
  const usable = async () => {
    const { keys } = await pool.stats();
    return keys.map(({ windows }) => windows?.[0]?.tpm.value);
  };
  return { clock, pool, acquire, usable };
}

/** Retries one call until the pool refuses it. Returns the refusal and the number of grants. */
async function retryUntilRefused({ acquire, clock }: ReturnType<typeof open>, most = 20) {
  const since = clock.now();
  for (let granted = 0; granted < most; granted += 1) {
    try {
      (await acquire({ since })).settle(tooMany);
    } catch (error) {
      if (!KeyPoolExhaustedError.isInstance(error)) throw error;
      return { granted, message: error.message };
    }
  }
  return { granted: most, message: '' };
}

describe('OversizedCalls, with a call larger than the tokens a minute', () => {
  it('refuses it after three refusals by idle quotas, with the reason', async () => {
    const { granted, message } = await retryUntilRefused(open());
    expect(granted).toBe(3);
    expect(message).toMatch(/limited to 10000 input tokens a minute.*needs about 10001/);
  });

  it('cuts no limit for it', async () => {
    const pool = open();
    await retryUntilRefused(pool);
    expect(await pool.usable()).toEqual([limit, limit]);
  });

  it('does not suspect another call of that estimate', async () => {
    const pool = open();
    await retryUntilRefused(pool);
    await expect(pool.acquire()).resolves.toBeDefined();
  });

  it('blames another application when every call is refused', async () => {
    const { acquire, clock, usable } = open();
    for (let i = 0; i < 6; i += 1) {
      (await acquire({ since: clock.now(), project: 'alpha' })).settle(tooMany);
      await clock.advance(70_000);
    }
    const [ofAlpha] = await usable();
    expect(ofAlpha).toBeLessThan(limit);
  });
});
