import { describe, expect, it } from 'vitest';
import { CooldownWithoutHint } from './cooldown-without-hint.js';
import { SlidingLog } from './sliding-log.js';

const now = 1_000_000;

describe('CooldownWithoutHint', () => {
  it('grows with each refusal, up to a minute', () => {
    const cooling = new CooldownWithoutHint();
    const log = new SlidingLog(60_000);
    const times = Array.from({ length: 6 }, () => cooling.next(true, log, now));
    expect(times).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  it('does not grow for calls that were refused together', () => {
    const cooling = new CooldownWithoutHint();
    const log = new SlidingLog(60_000);
    expect([true, false, false].map((isNews) => cooling.next(isNews, log, now))).toEqual([
      5_000, 5_000, 5_000,
    ]);
  });

  it('ends when the oldest request leaves the window', () => {
    const cooling = new CooldownWithoutHint();
    const log = new SlidingLog(60_000);
    log.add(10, now - 45_000);
    log.add(10, now - 1_000);
    const times = Array.from({ length: 4 }, () => cooling.next(true, log, now));
    expect(times).toEqual([5_000, 10_000, 15_000, 15_000]);
  });

  it('starts over after a success', () => {
    const cooling = new CooldownWithoutHint();
    const log = new SlidingLog(60_000);
    for (let i = 0; i < 4; i += 1) cooling.next(true, log, now);
    cooling.reset();
    expect(cooling.next(true, log, now)).toBe(5_000);
  });
});
