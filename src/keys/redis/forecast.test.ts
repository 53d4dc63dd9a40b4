import { describe, expect, it } from 'vitest';
import { forecastStart } from './forecast.js';
import { endless, type UnitView } from './ledger-view.js';

const limit = (value: number) => ({ value, origin: 'configured' as const });
const unit = (view: Partial<UnitView> = {}): UnitView => ({
  requests: 0,
  tokens: 0,
  inFlight: 0,
  day: 0,
  window: 60_000,
  rpm: limit(60),
  tpm: limit(endless),
  rpd: limit(endless),
  passableAfter: 0,
  freeAfter: 0,
  ...view,
});

describe('forecastStart', () => {
  it.each<[string, readonly UnitView[], number, number]>([
    ['starts at once while requests are left', [unit()], 59, 0],
    ['waits for the minute to move on when all are used', [unit({ requests: 60 })], 0, 1_000],
    ['waits in proportion to those ahead', [unit({ requests: 60 })], 29, 30_000],
    ['counts all units', [unit({ requests: 60 }), unit({ requests: 60 })], 29, 15_000],
    ['waits for a unit that cools', [unit({ passableAfter: 5_000 })], 0, 5_000],
    ['goes by the tokens where they are short', [unit({ tpm: limit(1_000), tokens: 1_000 })], 0, 6_000],
    ['gives up on units that never pass', [unit({ passableAfter: endless })], 0, Number.POSITIVE_INFINITY],
    ['gives up after an hour', [unit({ rpm: limit(1) })], 100, Number.POSITIVE_INFINITY],
  ])('%s', (_, units, ahead, expected) => {
    expect(forecastStart(units, ahead, 100)).toBeCloseTo(expected, -1);
  });
});
