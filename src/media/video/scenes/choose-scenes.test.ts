import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changedShare, looksAlike, type Thumbnail, thumbnailOf } from '../frames/thumbnail.js';
import { chooseScenes } from './choose-scenes.js';
import { comparedPerFrame, middlesOf } from './scene-frames.js';

/** A picture of its own for each number: blocks of colors that differ in most places. */
function pictureOf(scene: number, brightness = 1): Thumbnail {
  const data = new Uint8Array(32 * 18 * 3);
  for (let cell = 0; cell < 32 * 18; cell += 1) {
    const block = Math.floor(cell / 32 / 3) * 8 + Math.floor((cell % 32) / 4);
    for (let channel = 0; channel < 3; channel += 1) {
      const level = ((block * 37 + scene * 101 + channel * 59) * (scene * 2 + 3)) % 197;
      data[cell * 3 + channel] = Math.round((30 + level) * brightness);
    }
  }
  return thumbnailOf({ width: 32, height: 18, data });
}

const plain = (level: number): Thumbnail => new Uint8Array(32 * 18 * 3).fill(level);

/** The same picture with a few cells of another color, such as a line of text. */
function withText(picture: Thumbnail, line: number): Thumbnail {
  const changed = Uint8Array.from(picture);
  changed.fill(255, line * 32 * 3, line * 32 * 3 + 20 * 3);
  return changed;
}

/** Each scene for as many thumbnails as it is long. */
const clipOf = (...scenes: readonly (readonly [picture: Thumbnail, length: number])[]): Thumbnail[] =>
  scenes.flatMap(([picture, length]) => new Array<Thumbnail>(length).fill(picture));

const scenesShown = (clip: readonly Thumbnail[], chosen: readonly number[]) =>
  new Set(chosen.map((index) => clip[index])).size;

describe('chooseScenes', () => {
  it('shows every scene when there are as many frames, and long ones no more than they change', () => {
    const lengths = [30, 2, 25, 1, 15, 3, 10, 2];
    const clip = clipOf(...lengths.map((length, scene) => [pictureOf(scene), length] as const));
    const uniform = middlesOf(8, 11);
    expect(scenesShown(clip, uniform)).toBeLessThan(6);
    const chosen = chooseScenes(clip, uniform, 8);
    expect(chosen).toHaveLength(8);
    expect(scenesShown(clip, chosen)).toBe(8);
  });

  it('shows a still clip by its beginning, its middle and its end alone', () => {
    const clip = clipOf([pictureOf(1), 96]);
    expect(chooseScenes(clip, middlesOf(32, 3), 32)).toEqual([1, 49, 94]);
  });

  it('does not spend frames on what blinks, but shows a line of text', () => {
    const blinking = clipOf([pictureOf(1), 96]).map((picture, i) => {
      const blinked = Uint8Array.from(picture);
      if (i % 2) blinked.fill(255, 300, 306);
      return blinked;
    });
    expect(chooseScenes(blinking, middlesOf(32, 3), 32)).toHaveLength(3);
    const typed = blinking.map((picture, i) => (i > 61 ? withText(picture, 4) : picture));
    const chosen = chooseScenes(typed, middlesOf(32, 3), 32);
    expect(chosen.length).toBeLessThan(7);
    expect(chosen.some((index) => index > 61)).toBe(true);
  });

  it.each([
    ['a flash', [plain(255)]],
    ['a moment of black', [plain(0)]],
    [
      'one picture melting into the next',
      [pictureOf(1).map((value, i) => (value + (pictureOf(2)[i] ?? 0)) / 2)],
    ],
    ['a fade', [pictureOf(1, 0.6), pictureOf(1, 0.3), plain(0), pictureOf(2, 0.4), pictureOf(2, 0.7)]],
  ])('does not count %s as a scene', (_, between) => {
    const third = pictureOf(3);
    const clip = [...clipOf([pictureOf(1), 20]), ...between, ...clipOf([pictureOf(2), 20], [third, 1])];
    const chosen = chooseScenes(clip, [9], 3);
    expect(chosen.map((index) => clip[index])).toContain(third);
    expect(chosen).toHaveLength(3);
    for (const index of chosen) expect(between).not.toContain(clip[index]);
  });

  it('shows a clip that never rests as uniform sampling does', () => {
    const clip = Array.from({ length: 88 }, (_, scene) => pictureOf(scene));
    expect(chooseScenes(clip, middlesOf(8, 11), 8)).toEqual(middlesOf(8, 11));
  });

  const scene = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 40 }), fc.boolean());
  const clips = fc.record({
    scenes: fc.array(scene, { minLength: 1, maxLength: 20 }),
    count: fc.constantFrom(1, 2, 3, 8, 16, 32),
  });

  it('never shows fewer scenes than uniform sampling, and leaves out only what looks the same', () => {
    fc.assert(
      fc.property(clips, ({ scenes, count }) => {
        const whole = scenes.flatMap(([picture, length, typed]) =>
          clipOf(
            [pictureOf(picture), length],
            [typed ? withText(pictureOf(picture), 9) : pictureOf(picture), length],
          ),
        );
        const each = comparedPerFrame(count);
        const clip = Array.from(
          { length: count * each },
          (_, i) => whole[Math.floor(((i + 0.5) * whole.length) / (count * each))] ?? plain(0),
        );
        const uniform = middlesOf(count, each);
        const chosen = chooseScenes(clip, uniform, count);
        expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
        expect(chosen.length).toBeLessThanOrEqual(count);
        const shown = (indices: readonly number[], wanted: Thumbnail | undefined) =>
          indices.some((index) => wanted && clip[index] && changedShare(clip[index], wanted) < 0.25);
        const kinds = (indices: readonly number[]) =>
          clip.filter((picture) => shown(indices, picture)).length;
        for (const pick of uniform) expect(shown(chosen, clip[pick])).toBe(true);
        expect(kinds(chosen)).toBeGreaterThanOrEqual(kinds(uniform));
        if (chosen.length === count) return;
        for (const picture of clip)
          expect(chosen.some((index) => looksAlike(picture, clip[index] ?? plain(0)))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
