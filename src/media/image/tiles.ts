/** A part of a picture, in its upright pixels. */
export interface Tile {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Counted from 1, in reading order. */
  readonly row: number;
  readonly rows: number;
  readonly column: number;
  readonly columns: number;
}

/** How far tiles reach into their neighbors, as a part of their side, so that no line of text is lost in a seam. */
const overlap = 1 / 16;

/**
 * The tiles that show a picture larger than an overview of `maxSide` can, in reading order: as many as
 * it takes to see every pixel, or fewer and larger ones where that is more than `maxTiles`. None when
 * the overview shows all.
 */
export function planTiles(
  size: { readonly width: number; readonly height: number },
  maxSide: number,
  maxTiles: number,
): readonly Tile[] {
  let columns = tilesAlong(size.width, maxSide);
  let rows = tilesAlong(size.height, maxSide);
  if (columns * rows <= 1) return [];
  while (columns * rows > maxTiles) {
    if (columns * rows === 1 || maxTiles < 2) return [];
    if (rows === 1 || (columns > 1 && size.width / columns <= size.height / rows)) columns -= 1;
    else rows -= 1;
  }
  if (columns * rows === 1) return [];
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => ({
      ...spanOf('left', 'width', size.width, columns, column),
      ...spanOf('top', 'height', size.height, rows, row),
      row: row + 1,
      rows,
      column: column + 1,
      columns,
    })),
  ).flat();
}

function tilesAlong(side: number, maxSide: number): number {
  return side <= maxSide ? 1 : Math.ceil((side * (1 + 2 * overlap)) / maxSide);
}

function spanOf<Start extends string, Length extends string>(
  start: Start,
  length: Length,
  side: number,
  count: number,
  index: number,
): Record<Start | Length, number> {
  const step = side / count;
  const from = Math.max(0, Math.floor((index - overlap) * step));
  const to = Math.min(side, Math.ceil((index + 1 + overlap) * step));
  return { [start]: from, [length]: to - from } as Record<Start | Length, number>;
}
