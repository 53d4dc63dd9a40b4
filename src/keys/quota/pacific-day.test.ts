import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pacificDayEnd } from './pacific-day.js';

const hourMs = 3_600_000;
const instants = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2040, 0, 1) });

const pacificTimeOfDay = (at: number) =>
  new Date(at).toLocaleTimeString('en-GB', { timeZone: 'America/Los_Angeles', hour12: false });

describe('pacificDayEnd', () => {
  it.each([
    ['a winter day', '2026-01-15T12:00:00Z', '2026-01-16T08:00:00Z'],
    ['a summer day', '2026-07-15T12:00:00Z', '2026-07-16T07:00:00Z'],
    ['the evening before in Los Angeles', '2026-07-15T06:59:59Z', '2026-07-15T07:00:00Z'],
    ['midnight itself', '2026-07-15T07:00:00Z', '2026-07-16T07:00:00Z'],
    ['the day on which clocks go forward', '2026-03-08T08:00:00Z', '2026-03-09T07:00:00Z'],
    ['the day on which clocks go back', '2026-11-01T07:00:00Z', '2026-11-02T08:00:00Z'],
    ['the last day of the year', '2026-12-31T20:00:00Z', '2027-01-01T08:00:00Z'],
  ])('finds the end of %s', (_, now, end) => {
    expect(new Date(pacificDayEnd(Date.parse(now)))).toEqual(new Date(end));
  });

  it('is always the next midnight in Los Angeles, at most 25 hours ahead', () => {
    fc.assert(
      fc.property(instants, (now) => {
        const end = pacificDayEnd(now);
        const next = pacificDayEnd(end);
        expect(end).toBeGreaterThan(now);
        expect(end - now).toBeLessThanOrEqual(25 * hourMs);
        expect(pacificTimeOfDay(end)).toBe('00:00:00');
        expect(pacificDayEnd(end - 1)).toBe(end);
        expect([23, 24, 25]).toContain((next - end) / hourMs);
      }),
    );
  });
});
