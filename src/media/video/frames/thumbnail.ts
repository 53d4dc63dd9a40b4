import type { RgbFrame } from '../../frame/ppm.js';

/** Enough to see a line of text appear, too coarse to see grain. */
export const thumbnailWidth = 32;
export const thumbnailHeight = 18;

/** A frame as the mean colors of a grid, row by row: three bytes a cell, in any proportions of the frame. */
export type Thumbnail = Uint8Array;

const cellCount = thumbnailWidth * thumbnailHeight;

/** The mean color of each cell of a frame. */
export function thumbnailOf({ width, height, data }: RgbFrame): Thumbnail {
  const thumbnail = new Uint8Array(cellCount * 3);
  for (let row = 0; row < thumbnailHeight; row += 1) {
    const [top, bottom] = bounds(row, thumbnailHeight, height);
    for (let column = 0; column < thumbnailWidth; column += 1) {
      const [left, right] = bounds(column, thumbnailWidth, width);
      let [red, green, blue] = [0, 0, 0];
      for (let y = top; y < bottom; y += 1) {
        for (let at = (y * width + left) * 3; at < (y * width + right) * 3; at += 3) {
          red += data[at] ?? 0;
          green += data[at + 1] ?? 0;
          blue += data[at + 2] ?? 0;
        }
      }
      const pixels = (bottom - top) * (right - left);
      const sums = [red / pixels, green / pixels, blue / pixels].map(Math.round);
      thumbnail.set(sums, (row * thumbnailWidth + column) * 3);
    }
  }
  return thumbnail;
}

/** Where a cell begins and ends; at least one pixel, also of frames that are smaller than the grid. */
function bounds(cell: number, cells: number, pixels: number): [number, number] {
  const start = Math.floor((cell * pixels) / cells);
  return [start, Math.max(start + 1, Math.floor(((cell + 1) * pixels) / cells))];
}

/** Levels of 255 by which a color has to differ. Grain and compression stay below it in the mean of a cell. */
const visibleChange = 12;

/** The share of cells, 0 to 1, in which two frames look different. */
export function changedShare(one: Thumbnail, other: Thumbnail): number {
  let changed = 0;
  for (let at = 0; at < one.length; at += 3) {
    if (differs(one, other, at) || differs(one, other, at + 1) || differs(one, other, at + 2)) changed += 1;
  }
  return changed / cellCount;
}

function differs(one: Thumbnail, other: Thumbnail, at: number): boolean {
  return Math.abs((one[at] ?? 0) - (other[at] ?? 0)) > visibleChange;
}

/** About the size of a pointer or a blinking cursor. */
const unnoticedShare = 4 / cellCount;

/** Whether nothing but what blinks or points has changed. */
export function looksAlike(one: Thumbnail, other: Thumbnail): boolean {
  return changedShare(one, other) <= unnoticedShare;
}

/** A moving speaker changes less than this, a cut mostly more than twice as much. */
const newSceneShare = 0.25;
const sameShapes = 0.95;

/** Whether two frames may be of one scene: much the same, or the same at another brightness. */
export function isSameScene(one: Thumbnail, other: Thumbnail): boolean {
  return changedShare(one, other) < newSceneShare || correlation(one, other) > sameShapes;
}

/** Standard deviation below which a frame is of one color. */
const plainDeviation = 6;

/** Pearson's correlation of the colors, -1 to 1; 0 where one of the frames is plain. */
function correlation(one: Thumbnail, other: Thumbnail): number {
  const [first, second] = [statisticsOf(one), statisticsOf(other)];
  if (first.deviation < plainDeviation || second.deviation < plainDeviation) return 0;
  const covariance =
    one.reduce((sum, value, at) => sum + (value - first.mean) * ((other[at] ?? 0) - second.mean), 0) /
    one.length;
  return covariance / (first.deviation * second.deviation);
}

/** Whether a frame shows nothing: it is all black or all white. */
export function isBlank(thumbnail: Thumbnail): boolean {
  const { mean, deviation } = statisticsOf(thumbnail);
  return deviation < plainDeviation && (mean < 32 || mean > 223);
}

function statisticsOf(thumbnail: Thumbnail): { mean: number; deviation: number } {
  const mean = thumbnail.reduce((sum, value) => sum + value, 0) / thumbnail.length;
  const variance = thumbnail.reduce((sum, value) => sum + (value - mean) ** 2, 0) / thumbnail.length;
  return { mean, deviation: Math.sqrt(variance) };
}

/** Whether a frame is the one before it melting into the one after it. */
export function isBlend(before: Thumbnail, thumbnail: Thumbnail, after: Thumbnail): boolean {
  let [along, length] = [0, 0];
  for (const [at, value] of thumbnail.entries()) {
    const step = (after[at] ?? 0) - (before[at] ?? 0);
    along += (value - (before[at] ?? 0)) * step;
    length += step * step;
  }
  const share = length > 0 ? Math.min(1, Math.max(0, along / length)) : 0;
  const blend = before.map((value, at) => Math.round(value + share * ((after[at] ?? 0) - value)));
  return share > 0 && share < 1 && changedShare(thumbnail, blend) < newSceneShare / 5;
}
