import type { VideoFrame } from '../frames/decode-frames.js';
import type { Thumbnail } from '../frames/thumbnail.js';
import { chooseScenes } from './choose-scenes.js';

/** The frames of a clip that are shown. */
export interface ShownFrames {
  readonly frames: readonly VideoFrame[];
  /** Whether there are fewer than asked for because all others look the same as one of these. */
  readonly othersAlike?: boolean | undefined;
}

/** About as many frames are compared, and at least three for each that is shown. */
const comparedFrames = 72;

/**
 * How many frames are compared for each that is shown. Odd, so that the middle one of each slice is the
 * one that uniform sampling takes.
 */
export function comparedPerFrame(count: number): number {
  const most = Math.floor(comparedFrames / count);
  return Math.max(3, most % 2 === 0 ? most - 1 : most);
}

/** The numbers of what uniform sampling takes of `count` slices that were looked at `each` times. */
export function middlesOf(count: number, each: number): readonly number[] {
  return Array.from({ length: count }, (_, slice) => slice * each + (each >> 1));
}

/** What to show of frames that were decoded, given which of them uniform sampling takes. */
export function chooseAmong(
  frames: readonly VideoFrame[],
  uniform: readonly number[],
  count: number,
): ShownFrames {
  const thumbnails = frames.map(({ thumbnail }) => thumbnail ?? noThumbnail);
  const shown = new Set(chooseScenes(thumbnails, uniform, count));
  return {
    frames: frames.filter((_, i) => shown.has(i)),
    othersAlike: shown.size < Math.min(count, frames.length),
  };
}

const noThumbnail: Thumbnail = new Uint8Array();
