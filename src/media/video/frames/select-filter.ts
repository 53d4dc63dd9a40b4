/** Half a millisecond of tolerance, because containers round their times. */
export const toleranceSeconds = 0.0006;

/** A condition of ffmpeg's select filter: the first frame at or after the target. */
export function isReachedAt(targetMs: number): string {
  const seconds = (targetMs / 1000).toFixed(6);
  return `gte(t,${seconds})*not(gte(prev_t,${seconds}))`;
}

/** A condition of ffmpeg's select filter: the frame whose time is known to be this. */
export function isAt(timeMs: number): string {
  const seconds = timeMs / 1000;
  return `between(t,${(seconds - toleranceSeconds).toFixed(6)},${(seconds + toleranceSeconds).toFixed(6)})`;
}

/**
 * `condition`, but not before the first keyframe: decoding that begins in the middle of a group gives
 * gray pictures until then, from HEVC at least.
 */
export function afterKeyframe(condition: string): string {
  return `gt(st(0,max(ld(0),key)),0)*(${condition})`;
}

/** The filter that takes the frames for which any condition holds; of several at one instant, the first. */
export function selectAny(conditions: readonly string[]): string {
  return `select='(${conditions.join('+')})*not(lte(t,prev_selected_t))'`;
}
