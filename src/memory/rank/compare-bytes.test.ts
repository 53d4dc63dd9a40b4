import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { largestComponent, plainComparison, simdComparison } from './compare-bytes.js';

describe('simdComparison', () => {
  it('computes the same integers as plain JavaScript, for any number and length of rows', () => {
    const simd = simdComparison();
    expect(simd).toBeDefined();
    const shape = fc.tuple(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 0, max: 900 }),
      fc.integer({ min: -7, max: 12 }),
      fc.nat(),
    );
    fc.assert(
      fc.property(shape, ([eights, rows, longer, seed]) => {
        const size = eights * 8;
        const rowBytes = size + longer;
        const largest = largestComponent(size);
        let state = seed;
        const next = (range: number) => {
          state = (state * 1_664_525 + 1_013_904_223) >>> 0;
          return Math.round((state / 2 ** 32 - 0.5) * 2 * range);
        };
        const components = Int8Array.from({ length: rows * rowBytes }, () => next(127));
        const query = Int16Array.from({ length: size }, (_, at) => (at < rowBytes ? next(largest) : 0));
        const table = { components, rows, rowBytes };
        expect(simd?.compare(table, query)).toEqual(plainComparison.compare(table, query));
      }),
      { numRuns: 20 },
    );
  });

  it.each([8, 768, 3_072, 65_536])('does not overflow with %i components at their largest', (size) => {
    const largest = largestComponent(size);
    const query = new Int16Array(size).fill(largest);
    const components = new Int8Array(2 * size).fill(127).fill(-127, size);
    const expected = [127 * largest * size, -127 * largest * size];
    for (const comparison of [simdComparison(), plainComparison]) {
      expect([...(comparison?.compare({ components, rows: 2, rowBytes: size }, query) ?? [])]).toEqual(
        expected,
      );
    }
  });
});
