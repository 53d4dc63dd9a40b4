import { isBlank, isBlend, isSameScene, looksAlike, type Thumbnail } from '../frames/thumbnail.js';

/** Thumbnails that belong together, from the first to before the last. */
interface Scene {
  readonly from: number;
  readonly to: number;
}

/**
 * Which frames of a clip to show: at least one of each scene that uniform sampling would show, then the
 * scenes that it would miss, the longest first, then frames that look different from the shown ones.
 * Fewer than `count` only when all that is left out looks like a frame that is shown of the same scene;
 * of a scene without change the first and the last frame are shown as well, so that this can be seen.
 *
 * @param thumbnails evenly spread over the clip, in order
 * @param uniform the numbers of those that uniform sampling takes, at most `count`
 * @returns numbers of thumbnails, ascending
 */
export function chooseScenes(
  thumbnails: readonly Thumbnail[],
  uniform: readonly number[],
  count: number,
): readonly number[] {
  const scenes = splitScenes(thumbnails);
  const picksOf = ({ from, to }: Scene) => uniform.filter((pick) => pick >= from && pick < to);
  const chosen = new Set<number>();
  const seen = new Set<number>();
  const show = (index: number, { from, to }: Scene) => {
    if (chosen.size >= count) return;
    chosen.add(index);
    const shown = thumbnails[index];
    for (let at = from; at < to; at += 1) {
      const thumbnail = thumbnails[at];
      if (shown && thumbnail && looksAlike(shown, thumbnail)) seen.add(at);
    }
  };
  const showUnseen = (candidates: readonly number[]) => {
    while (chosen.size < count) {
      const next = farthest(
        candidates.filter((index) => !seen.has(index)),
        chosen,
      );
      const scene = next !== undefined && scenes.find(({ to }) => next < to);
      if (!scene) return;
      show(next, scene);
    }
  };

  for (const scene of scenes) {
    const picks = picksOf(scene);
    const middle = picks[picks.length >> 1];
    if (middle !== undefined) show(middle, scene);
  }
  const missed = scenes.filter((scene) => picksOf(scene).length === 0);
  for (const scene of [...missed].sort((a, b) => b.to - b.from - (a.to - a.from)))
    show((scene.from + scene.to) >> 1, scene);
  showUnseen(uniform);
  showUnseen([...thumbnails.keys()]);
  for (const scene of scenes) {
    const picks = picksOf(scene);
    for (const end of [picks[0], picks.at(-1)]) if (end !== undefined) show(end, scene);
  }
  return [...chosen].sort((a, b) => a - b);
}

/** The candidate that is farthest from all that are chosen. */
function farthest(candidates: readonly number[], chosen: ReadonlySet<number>): number | undefined {
  const distance = (index: number) => Math.min(...[...chosen].map((other) => Math.abs(other - index)));
  const byDistance = candidates.map((index) => ({ index, distance: distance(index) }));
  return byDistance.reduce<(typeof byDistance)[number] | undefined>(
    (best, candidate) => (best && best.distance >= candidate.distance ? best : candidate),
    undefined,
  )?.index;
}

/** A scene goes on for as long as frames may be of one scene with its first. */
function splitScenes(thumbnails: readonly Thumbnail[]): readonly Scene[] {
  const starts: number[] = [];
  let first: Thumbnail | undefined;
  let passing = false;
  for (const [index, thumbnail] of thumbnails.entries()) {
    const goesOn = first !== undefined && isSameScene(first, thumbnail);
    // A single frame that is no picture of its own belongs to the scene before it.
    passing = !goesOn && !passing && isPassing(thumbnails[index - 1], thumbnail, thumbnails[index + 1]);
    if (goesOn || passing) continue;
    starts.push(index);
    first = thumbnail;
  }
  return starts.map((from, scene) => ({ from, to: starts[scene + 1] ?? thumbnails.length }));
}

/** Whether a frame is a flash, a moment of black, or one picture melting into the next. */
function isPassing(
  before: Thumbnail | undefined,
  thumbnail: Thumbnail,
  after: Thumbnail | undefined,
): boolean {
  if (!before || !after || isSameScene(thumbnail, after)) return false;
  return isBlank(thumbnail) || isBlend(before, thumbnail, after);
}
