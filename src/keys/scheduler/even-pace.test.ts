import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../testing/virtual-clock.js';
import type { LeaseRequest } from '../key-pool.js';
import type { QuotaLimits } from '../limit-rules.js';
import { ScheduledKeyPool } from './scheduled-key-pool.js';

const model = 'gemini-3.8-flash';
const minuteMs = 60_000;

function open(limits: QuotaLimits = { rpm: 60 }) {
  const clock = new VirtualClock();
  const pool = new ScheduledKeyPool({
    keys: [{ key: 'the-only-key-00001', project: 'alpha' }],
    limits: [limits],
    clock,
    random: () => 0.5,
  });
  const startedAt = clock.now();
  const grants: { readonly at: number; readonly caller: string }[] = [];
  const refusals: number[] = [];
  /** Acquires a key, records the time, and settles after `answerMs`. */
  const ask = (request: Partial<LeaseRequest>, caller: string, answerMs = 1_000) =>
    pool.acquire({ model, estimatedTokens: 10, ...request }).then(
      (lease) => {
        grants.push({ at: clock.now() - startedAt, caller });
        clock.setTimeout(() => lease.settle({ ok: true }), answerMs);
      },
      () => {
        refusals.push(clock.now() - startedAt);
      },
    );
  return { clock, ask, grants, refusals };
}

const gapsOf = (times: readonly number[]) => times.slice(1).map((at, index) => at - (times[index] ?? 0));

describe.each([
  ['batch calls', { priority: 'batch' }],
  ['calls of one tenant', { tenant: 'heavy' }],
] as const)('ScheduledKeyPool with a long backlog of %s', (_, request) => {
  it('paces it after the first burst, and uses the whole quota', async () => {
    const { ask, clock, grants } = open();
    for (let i = 0; i < 300; i += 1)
      void ask({ ...request, deadline: clock.now() + 10 * minuteMs }, 'backlog');
    await clock.advance(4 * minuteMs);
    const later = grants.map(({ at }) => at).filter((at) => at > 2 * minuteMs);
    expect(Math.max(...gapsOf(later))).toBeLessThan(8_000);
    expect(grants.length).toBeGreaterThan(4 * 60 * 0.98);
  });

  it('leaves quota for an interactive call of another tenant at any time', async () => {
    const { ask, clock, grants } = open();
    for (let i = 0; i < 300; i += 1)
      void ask({ ...request, deadline: clock.now() + 10 * minuteMs }, 'backlog');
    await clock.advance(2 * minuteMs);
    const waits: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      const askedAt = clock.now();
      await clock.runUntil(ask({ tenant: 'light' }, 'light'));
      waits.push(clock.now() - askedAt);
      await clock.advance(3_000);
    }
    expect(Math.max(...waits)).toBeLessThan(8_000);
    expect(grants.filter(({ caller }) => caller === 'light')).toHaveLength(20);
  });
});

describe('ScheduledKeyPool with batch beside interactive calls', () => {
  it('paces the batch calls from the start, so that the first minute has quota for interactive calls to its end', async () => {
    const { ask, clock, grants } = open();
    const waits: number[] = [];
    for (let second = 0; second < 90; second += 1) {
      void ask({ priority: 'batch', deadline: clock.now() + 10 * minuteMs }, 'batch');
      if (second % 4 === 0) {
        const askedAt = clock.now();
        void ask({}, 'people').then(() => waits.push(clock.now() - askedAt));
      }
      await clock.advance(1_000);
    }
    expect(grants.filter(({ caller }) => caller === 'people')).toHaveLength(23);
    expect(Math.max(...waits)).toBeLessThan(6_000);
  });

  it('grants batch calls all free quota after a minute without interactive calls', async () => {
    const { ask, clock, grants } = open({ rpm: 60, tpm: 1_000_000 });
    void ask({}, 'people');
    await clock.advance(2 * minuteMs);
    for (let i = 0; i < 60; i += 1) void ask({ priority: 'batch' }, 'batch');
    await clock.advance(0);
    expect(grants.filter(({ caller }) => caller === 'batch')).toHaveLength(60);
  });
});

describe('ScheduledKeyPool with a backlog and no other calls', () => {
  it('grants all quota as soon as it is free', async () => {
    const { ask, clock, grants } = open({ rpm: 60, tpm: 1_000_000 });
    for (let i = 0; i < 200; i += 1) void ask({ deadline: clock.now() + 10 * minuteMs }, 'only');
    await clock.advance(60_400);
    expect(grants).toHaveLength(120);
  });
});

describe('ScheduledKeyPool with a short queue', () => {
  it('serves it as fast as the quota allows', async () => {
    const { ask, clock, grants } = open();
    for (let i = 0; i < 63; i += 1)
      void ask({ priority: 'batch', deadline: clock.now() + 2 * minuteMs }, 'x');
    await clock.advance(60_300);
    expect(grants).toHaveLength(63);
  });
});

describe('ScheduledKeyPool with a queue longer than its deadlines', () => {
  it('grants no key so late that the deadline passes before the usual answer', async () => {
    const { ask, clock, grants, refusals } = open();
    const answerMs = 8_000;
    const patienceMs = minuteMs;
    const waited: number[] = [];
    for (let i = 0; i < 600; i += 1) {
      const askedAt = clock.now();
      const granted = grants.length;
      void ask({ deadline: askedAt + patienceMs }, 'x', answerMs).then(() => {
        if (grants.length > granted) waited.push(clock.now() - askedAt);
      });
      await clock.advance(500);
    }
    const settled = waited.slice(Math.floor(waited.length / 2));
    expect(Math.max(...settled)).toBeLessThanOrEqual(patienceMs - answerMs);
    expect(refusals.length).toBeGreaterThan(0);
  });
});
