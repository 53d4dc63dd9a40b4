import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planTiles } from './tiles.js';

const sides = fc.record({
  width: fc.integer({ min: 1, max: 20_000 }),
  height: fc.integer({ min: 1, max: 20_000 }),
});

describe('planTiles', () => {
  it('plans none for a picture that the overview shows whole', () => {
    expect(planTiles({ width: 768, height: 700 }, 768, 16)).toEqual([]);
    expect(planTiles({ width: 5000, height: 5000 }, 768, 0)).toEqual([]);
    expect(planTiles({ width: 5000, height: 5000 }, 768, 1)).toEqual([]);
  });

  it('cuts a panorama along its length, in reading order', () => {
    const tiles = planTiles({ width: 3000, height: 700 }, 1200, 8);
    expect(tiles.map(({ row, column, rows, columns }) => [row, column, rows, columns])).toEqual([
      [1, 1, 1, 3],
      [1, 2, 1, 3],
      [1, 3, 1, 3],
    ]);
    expect(tiles.map(({ left, width, top, height }) => [left, width, top, height])).toEqual([
      [0, 1063, 0, 700],
      [937, 1126, 0, 700],
      [1937, 1063, 0, 700],
    ]);
  });

  it('keeps every pixel with enough tiles, and makes few tiles as square as possible', () => {
    const tiles = planTiles({ width: 8000, height: 4000 }, 1000, 8);
    expect(tiles.at(-1)).toMatchObject({ rows: 2, columns: 4 });
  });

  it('covers every pixel with at most maxTiles tiles inside the picture', () => {
    fc.assert(
      fc.property(sides, fc.integer({ min: 100, max: 2000 }), fc.nat(16), (size, maxSide, maxTiles) => {
        const tiles = planTiles(size, maxSide, maxTiles);
        expect(tiles.length).toBeLessThanOrEqual(maxTiles);
        if (tiles.length === 0) return;
        for (const { left, top, width, height } of tiles) {
          expect(left).toBeGreaterThanOrEqual(0);
          expect(top).toBeGreaterThanOrEqual(0);
          expect(width).toBeGreaterThan(0);
          expect(height).toBeGreaterThan(0);
          expect(left + width).toBeLessThanOrEqual(size.width);
          expect(top + height).toBeLessThanOrEqual(size.height);
        }
        for (const { left, width, top, height, row, rows, column, columns } of tiles) {
          const right = tiles.find((tile) => tile.row === row && tile.column === column + 1);
          const below = tiles.find((tile) => tile.column === column && tile.row === row + 1);
          expect(left + width).toBeGreaterThanOrEqual(
            column === columns ? size.width : (right?.left ?? Infinity),
          );
          expect(top + height).toBeGreaterThanOrEqual(row === rows ? size.height : (below?.top ?? Infinity));
        }
      }),
    );
  });
});
