import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EmulatedLimits } from './emulated-project.js';
import { QuotaLedger } from './quota-ledger.js';
import type { QuotaWindow } from './quota-window.js';

const windows: readonly QuotaWindow[] = ['sliding', 'fixed', 'bucket'];
const start = Date.parse('2026-11-20T20:00:30Z');

function createUnit(window: QuotaWindow, limits: EmulatedLimits) {
  const ledger = new QuotaLedger(window);
  const project = { id: 'alpha', keys: [], limits };
  return (nowMs: number, tokens = 1, model = 'a-model') => ledger.charge(project, model, tokens, nowMs);
}

describe.each(windows)('a %s window', (window) => {
  it('admits requests up to the limit, then refuses', () => {
    const charge = createUnit(window, { rpm: 3 });
    const admitted = [1, 2, 3, 4].map(() => charge(start).length === 0);
    expect(admitted).toEqual([true, true, true, false]);
  });

  it('admits exactly after the delay that it advises', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 60 }),
        (rpm, gaps) => {
          const charge = createUnit(window, { rpm });
          let now = start;
          for (const gap of gaps) {
            now += gap;
            const [violation] = charge(now);
            if (!violation) continue;
            const until = now + violation.waitMs;
            if (violation.waitMs > 2) expect(charge(until - 2)).toHaveLength(1);
            expect(charge(until)).toHaveLength(0);
            now = until;
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('counts input tokens and requests separately, and names the exceeded quota', () => {
    const charge = createUnit(window, { rpm: 2, tpm: 100 });
    expect(charge(start, 90)).toEqual([]);
    expect(charge(start, 20)).toMatchObject([{ quota: 'tpm', limit: 100 }]);
    expect(charge(start, 10)).toEqual([]);
    expect(charge(start, 1)).toMatchObject([{ quota: 'rpm' }, { quota: 'tpm' }]);
  });

  it('never admits a request above the limit, but advises a delay as Gemini does', () => {
    const charge = createUnit(window, { tpm: 100 });
    const [violation] = charge(start, 101);
    expect(violation).toMatchObject({ quota: 'tpm', waitMs: 30_000 });
    expect(charge(start + 600_000, 101)).toHaveLength(1);
  });

  it('never admits anything with a limit of 0', () => {
    const charge = createUnit(window, { rpm: 0 });
    for (const later of [0, 60_000, 3_600_000]) expect(charge(start + later)).toHaveLength(1);
  });

  it('keeps models apart', () => {
    const charge = createUnit(window, { rpm: 1 });
    expect(charge(start, 1, 'one')).toEqual([]);
    expect(charge(start, 1, 'other')).toEqual([]);
    expect(charge(start, 1, 'one')).toHaveLength(1);
  });
});

describe('the kinds of window', () => {
  const admittedAfter = (window: QuotaWindow, waitMs: number) => {
    const charge = createUnit(window, { rpm: 60 });
    for (let request = 0; request < 60; request++) charge(start);
    let admitted = 0;
    while (charge(start + waitMs).length === 0) admitted++;
    return admitted;
  };

  it.each<[QuotaWindow, number, number]>([
    // The requests were made half a minute before the full minute.
    ['sliding', 59_999, 0],
    ['sliding', 60_000, 60],
    ['fixed', 29_999, 0],
    ['fixed', 30_000, 60],
    ['bucket', 10_000, 10],
    ['bucket', 600_000, 60],
  ])('%s after %i ms admits %i more', (window, waitMs, expected) => {
    expect(admittedAfter(window, waitMs)).toBe(expected);
  });
});

describe('the quota per day', () => {
  it.each([
    ['in winter', '2026-11-21T07:59:59Z', '2026-11-21T08:00:00Z'],
    ['in summer', '2026-07-02T06:59:59Z', '2026-07-02T07:00:00Z'],
    ['on the day that has 23 hours', '2026-03-09T06:59:59Z', '2026-03-09T07:00:00Z'],
    ['on the day that has 25 hours', '2026-11-02T07:59:59Z', '2026-11-02T08:00:00Z'],
  ])('restarts at midnight in Los Angeles %s', (_, before, midnight) => {
    const charge = createUnit('sliding', { rpd: 1 });
    expect(charge(Date.parse(before) - 3_600_000)).toEqual([]);
    expect(charge(Date.parse(before))).toMatchObject([{ quota: 'rpd', limit: 1 }]);
    expect(charge(Date.parse(midnight))).toEqual([]);
  });

  it('advises a misleading short delay, as Gemini does', () => {
    const charge = createUnit('sliding', { rpd: 0 });
    expect(charge(start)[0]?.waitMs).toBe(30_000);
  });
});

describe('limits by model', () => {
  it('apply to the models that they name', () => {
    const ledger = new QuotaLedger('sliding');
    const project = { id: 'p', keys: [], limits: { small: { rpm: 1 } } };
    expect(ledger.charge(project, 'small', 1, start)).toEqual([]);
    expect(ledger.charge(project, 'small', 1, start)).toHaveLength(1);
    for (let request = 0; request < 5; request++)
      expect(ledger.charge(project, 'large', 1, start)).toEqual([]);
  });
});
