import { describe, expect, it } from 'vitest';
import { forecastStart } from './forecast.js';
import { endless, type QuotaView } from './ledger-view.js';

const limit = (value: number) => ({ value, origin: 'configured' as const });
const quota = (view: Partial<QuotaView> = {}): QuotaView => ({
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
  it.each<[string, readonly QuotaView[], number, number]>([
    ['starts at once while requests are left', [quota()], 59, 0],
    ['waits for the window to move when all requests are used', [quota({ requests: 60 })], 0, 1_000],
    ['waits in proportion to the calls ahead', [quota({ requests: 60 })], 29, 30_000],
    ['counts all quotas', [quota({ requests: 60 }), quota({ requests: 60 })], 29, 15_000],
    ['waits for a quota that is blocked', [quota({ passableAfter: 5_000 })], 0, 5_000],
    [
      'waits for tokens if they are the tighter limit',
      [quota({ tpm: limit(1_000), tokens: 1_000 })],
      0,
      6_000,
    ],
    [
      'is endless for quotas that stay blocked',
      [quota({ passableAfter: endless })],
      0,
      Number.POSITIVE_INFINITY,
    ],
    ['is endless beyond an hour', [quota({ rpm: limit(1) })], 100, Number.POSITIVE_INFINITY],
  ])('%s', (_, quotas, ahead, expected) => {
    expect(forecastStart(quotas, ahead, 100)).toBeCloseTo(expected, -1);
  });
});
