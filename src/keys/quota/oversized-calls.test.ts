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
  /** Tokens a minute that may be used, by project. */
  const usable = async () => {
    const { keys } = await pool.stats();
    return keys.map(({ windows }) => windows?.[0]?.tpm.value);
  };
  return { clock, pool, acquire, usable };
}

/** Asks again, as one call, until it is not granted; returns the refusal and how often it was granted. */
async function insist({ acquire, clock }: ReturnType<typeof open>, most = 20) {
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

describe('A call that is larger than the tokens a minute, whatever was estimated', () => {
  it('is given up after three refusals by idle quotas, with the reason', async () => {
    const { granted, message } = await insist(open());
    expect(granted).toBe(3);
    expect(message).toMatch(/limited to 10000 input tokens a minute.*needs about 10001/);
  });

  it('costs the others no quota', async () => {
    const pool = open();
    await insist(pool);
    expect(await pool.usable()).toEqual([limit, limit]);
  });

  it('does not make another call of that size suspect', async () => {
    const pool = open();
    await insist(pool);
    await expect(pool.acquire()).resolves.toBeDefined();
  });

  it('is not what is at work when every call is refused: then somebody else uses the quota', async () => {
    const { acquire, clock, usable } = open();
    for (let i = 0; i < 6; i += 1) {
      (await acquire({ since: clock.now(), project: 'alpha' })).settle(tooMany);
      await clock.advance(70_000);
    }
    const [ofAlpha] = await usable();
    expect(ofAlpha).toBeLessThan(limit);
  });
});
