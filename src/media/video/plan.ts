import type { Span } from '../source/excerpt.js';

/** The middles of `count` equal slices of a clip: nothing is shown twice and neither end is missed. */
export function planTargets(span: Span, count: number): readonly number[] {
  const sliceMs = (span.endMs - span.startMs) / count;
  return Array.from({ length: count }, (_, slice) => span.startMs + (slice + 0.5) * sliceMs);
}

/**
 * The frames to take if the time of every frame is known: for each target the frame that is on
 * screen then. As many different ones as were asked for, when the clip has that many; in order.
 *
 * @param times ascending, without duplicates
 */
export function chooseFrames(times: readonly number[], span: Span, count: number): readonly number[] {
  if (times.length <= count) return times;
  const chosen: number[] = [];
  planTargets(span, count).forEach((targetMs, slice) => {
    const shown = lastAtOrBefore(times, targetMs);
    // Each frame once, and enough left over for the targets to come.
    const lowest = (chosen.at(-1) ?? -1) + 1;
    const highest = times.length - (count - slice);
    chosen.push(Math.min(Math.max(shown, lowest), highest));
  });
  return chosen.map((index) => times[index] ?? 0);
}

/** Index of the last time at or before `instant`, or 0 when all come later. */
function lastAtOrBefore(times: readonly number[], instant: number): number {
  let low = 0;
  let high = times.length;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= instant) low = middle;
    else high = middle;
  }
  return low;
}

/** A keyframe spacing that encoders rarely exceed, for containers whose index is not read. */
const assumedGopFrames = 250;
const assumedFps = 30;

/**
 * Whether decoding the whole clip once is cheaper than one seek for each frame. A seek decodes half a
 * group of pictures on average, so the single pass wins below N·GOP/(2·fps) seconds.
 */
export function isSinglePassCheaper(durationMs: number, fps: number | undefined, count: number): boolean {
  return durationMs / 1000 < (count * assumedGopFrames) / (2 * (fps ?? assumedFps));
}

/** The keyframes around a wanted instant. */
export interface KeyframeNeighbors {
  readonly targetMs: number;
  /** The last keyframe at or before the target. */
  readonly beforeMs: number;
  /** The first keyframe after it, if there is one. */
  readonly afterMs: number | undefined;
}

/** The keyframe that is nearest to each target. */
export function nearestKeyframes(neighbors: readonly KeyframeNeighbors[]): readonly number[] {
  return neighbors.map(({ targetMs, beforeMs, afterMs }) =>
    afterMs !== undefined && afterMs - targetMs < targetMs - beforeMs ? afterMs : beforeMs,
  );
}

/** How far from its target a frame may be, in milliseconds, if it need not be exact. */
const toleranceOf = (span: Span, targets: number) => (span.endMs - span.startMs) / targets / 4;

/** When a shown frame may begin. If none begins then, it is the frame on screen at the end. */
export interface Moment {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The frame that is on screen at an instant. */
export function exactly(instantMs: number): Moment {
  return { fromMs: instantMs, toMs: instantMs };
}

/** Below this tolerance nearly everything has to be decoded in any case, so frames may as well be exact. */
const worthwhileMs = 1000;

/**
 * What to show if frames need not be exact, each within a quarter of the spacing between targets: the
 * nearest keyframes if each target has one. Otherwise, if it is worth it, keyframes or the earliest frames,
 * which need the least decoding.
 */
export function chooseNearby(neighbors: readonly KeyframeNeighbors[], span: Span): readonly Moment[] {
  const keyframes = chooseKeyframes(neighbors, span);
  if (keyframes) return keyframes.map(exactly);
  const toleranceMs = toleranceOf(span, neighbors.length);
  if (toleranceMs < worthwhileMs) return neighbors.map(({ targetMs }) => exactly(targetMs));
  const nearest = nearestKeyframes(neighbors);
  return neighbors.map(({ targetMs }, i) => {
    const keyMs = nearest[i] ?? targetMs;
    const isNear = Math.abs(keyMs - targetMs) <= toleranceMs;
    return isNear ? exactly(keyMs) : { fromMs: targetMs - toleranceMs, toMs: targetMs };
  });
}

/** The nearest keyframe to each target; `undefined` unless all of them lie within a quarter of the spacing. */
export function chooseKeyframes(
  neighbors: readonly KeyframeNeighbors[],
  span: Span,
): readonly number[] | undefined {
  const toleranceMs = toleranceOf(span, neighbors.length);
  const nearest = nearestKeyframes(neighbors);
  const close = nearest.every(
    (keyMs, i) => Math.abs(keyMs - (neighbors[i]?.targetMs ?? keyMs)) <= toleranceMs,
  );
  return close ? nearest : undefined;
}
