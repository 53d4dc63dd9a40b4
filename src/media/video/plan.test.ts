import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseFrames, chooseKeyframes, chooseNearby, isSinglePassCheaper, planTargets } from './plan.js';

describe('planTargets', () => {
  it('takes the middles of equal slices', () => {
    expect(planTargets({ startMs: 0, endMs: 8000 }, 4)).toEqual([1000, 3000, 5000, 7000]);
    expect(planTargets({ startMs: 500, endMs: 1500 }, 1)).toEqual([1000]);
  });
});

describe('chooseFrames', () => {
  it('takes the frame that is on screen at each target', () => {
    const times = [0, 900, 2900, 3100, 4900, 5000, 7100];
    expect(chooseFrames(times, { startMs: 0, endMs: 8200 }, 4)).toEqual([900, 2900, 5000, 7100]);
  });

  it('gives as many different frames as asked for, in order, whenever there are that many', () => {
    const times = fc.uniqueArray(fc.integer({ min: 0, max: 1e7 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 40 }), (unsorted, count) => {
        const sorted = [...unsorted].sort((a, b) => a - b);
        const span = { startMs: sorted[0] ?? 0, endMs: sorted.at(-1) ?? 0 };
        const chosen = chooseFrames(sorted, span, count);
        expect(chosen).toHaveLength(Math.min(count, sorted.length));
        expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
        for (const time of chosen) expect(sorted).toContain(time);
      }),
    );
  });

  it('stays within a frame of every target when frames are even', () => {
    const times = Array.from({ length: 1000 }, (_, frame) => frame * 40);
    const span = { startMs: 0, endMs: 40_000 };
    chooseFrames(times, span, 8).forEach((time, i) => {
      expect((planTargets(span, 8)[i] ?? 0) - time).toBeGreaterThanOrEqual(0);
      expect((planTargets(span, 8)[i] ?? 0) - time).toBeLessThan(40);
    });
  });
});

describe('chooseKeyframes', () => {
  const span = { startMs: 0, endMs: 8000 };
  it('takes the nearest keyframe on either side when all are within a quarter of the spacing', () => {
    const neighbors = [
      { targetMs: 2000, beforeMs: 1500, afterMs: 2100 },
      { targetMs: 6000, beforeMs: 5900, afterMs: undefined },
    ];
    expect(chooseKeyframes(neighbors, span)).toEqual([2100, 5900]);
  });

  it('takes none when one of them is further away', () => {
    const neighbors = [
      { targetMs: 2000, beforeMs: 2000, afterMs: 4000 },
      { targetMs: 6000, beforeMs: 4000, afterMs: 8000 },
    ];
    expect(chooseKeyframes(neighbors, span)).toBeUndefined();
  });
});

describe('chooseNearby', () => {
  const neighborsOf = (scale: number) => [
    { targetMs: 2000 * scale, beforeMs: 1000 * scale, afterMs: 2900 * scale },
    { targetMs: 6000 * scale, beforeMs: 2900 * scale, afterMs: 7500 * scale },
  ];

  it('takes a keyframe within a quarter of the spacing, or else the earliest frame within it', () => {
    expect(chooseNearby(neighborsOf(10), { startMs: 0, endMs: 80_000 })).toEqual([
      { fromMs: 29_000, toMs: 29_000 },
      { fromMs: 50_000, toMs: 60_000 },
    ]);
  });

  it('takes the targets themselves where that costs little more', () => {
    expect(chooseNearby(neighborsOf(0.5), { startMs: 0, endMs: 4000 })).toEqual([
      { fromMs: 1000, toMs: 1000 },
      { fromMs: 3000, toMs: 3000 },
    ]);
  });

  it('stays in order and within a quarter of the spacing for any keyframes', () => {
    const keyframes = fc.uniqueArray(fc.integer({ min: 0, max: 59_999 }), { maxLength: 40 });
    fc.assert(
      fc.property(keyframes, fc.integer({ min: 1, max: 40 }), (unsorted, count) => {
        const span = { startMs: 0, endMs: 60_000 };
        const times = [0, ...unsorted].sort((a, b) => a - b);
        const targets = planTargets(span, count);
        const neighbors = targets.map((targetMs) => ({
          targetMs,
          beforeMs: Math.max(...times.filter((time) => time <= targetMs)),
          afterMs: times.find((time) => time > targetMs),
        }));
        const chosen = chooseNearby(neighbors, span);
        expect(chosen).toHaveLength(count);
        for (const [i, { fromMs, toMs }] of chosen.entries()) {
          const target = targets[i] ?? 0;
          const farthest = Math.max(Math.abs(fromMs - target), Math.abs(toMs - target));
          expect(farthest).toBeLessThanOrEqual(60_000 / count / 4 + 1e-6);
          expect(toMs).toBeGreaterThanOrEqual(fromMs);
          expect(fromMs).toBeGreaterThan(chosen[i - 1]?.toMs ?? -1);
        }
      }),
    );
  });
});

describe('isSinglePassCheaper', () => {
  it.each([
    { seconds: 10, count: 8, cheaper: true },
    { seconds: 60, count: 8, cheaper: false },
    { seconds: 60, count: 32, cheaper: true },
    { seconds: 3600, count: 32, cheaper: false },
  ])('is $cheaper for $count frames of $seconds s', ({ seconds, count, cheaper }) => {
    expect(isSinglePassCheaper(seconds * 1000, 30, count)).toBe(cheaper);
  });
});
