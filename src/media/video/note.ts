import type { Sound } from '../audio/audio.js';
import type { Excerpt } from '../source/excerpt.js';

/** How much a container may overstate its length before it counts as cut off. */
const toleratedShortfall = 0.9;

interface Clip {
  /** As the container claims. */
  readonly durationMs: number | undefined;
  readonly actualEndMs?: number | undefined;
  readonly othersAlike?: boolean | undefined;
}

/** What goes with the frames and sound of a clip in words: what could not be read, and what was left out. */
export function noteOn(
  { durationMs: claimedMs, actualEndMs, othersAlike }: Clip,
  sound: Sound | undefined,
  excerpt: Excerpt | undefined,
  isUnheard: boolean,
): string | undefined {
  const notes: string[] = [];
  const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
  const expectedMs = claimedMs && Math.min(claimedMs, excerpt?.endMs ?? claimedMs);
  if (
    claimedMs &&
    expectedMs &&
    actualEndMs !== undefined &&
    actualEndMs < expectedMs * toleratedShortfall - 1000
  ) {
    notes.push(`Pictures could only be read for the first ${seconds(actualEndMs)} of ${seconds(claimedMs)}.`);
  }
  if (othersAlike) notes.push('Nothing else changes in between: frames that look like these are left out.');
  if (
    sound &&
    claimedMs &&
    sound.durationMs > 0 &&
    sound.durationMs < lengthShown(claimedMs, excerpt) * toleratedShortfall - 1000
  ) {
    notes.push(`Only the first ${seconds(sound.durationMs)} of the sound are included.`);
  }
  if (isUnheard) notes.push('Its sound is left out: the model takes none.');
  return notes.length ? notes.join(' ') : undefined;
}

/** Length of the requested part of a clip, in milliseconds. */
export function lengthShown(durationMs: number, excerpt: Excerpt | undefined): number {
  return excerpt ? Math.min(durationMs, excerpt.endMs) - excerpt.startMs : durationMs;
}
