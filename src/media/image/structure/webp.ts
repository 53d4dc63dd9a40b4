import type { Animation } from './animation.js';
import type { PictureFile } from './picture-file.js';

const headerBytes = 12;

/**
 * The frames of a WebP by its chunks, without decoding any; none for a still picture.
 *
 * @param most frames after which it stops counting
 */
export function readWebp(file: PictureFile, most: number): Animation {
  const ends: number[] = [];
  let [width, height] = [0, 0];
  for (let at = headerBytes; at + 8 <= file.size && ends.length <= most; ) {
    const chunk = file.at(at, 18);
    const type = chunk.toString('latin1', 0, 4);
    if (type === 'VP8X' && chunk.length === 18) {
      width = chunk.readUIntLE(12, 3) + 1;
      height = chunk.readUIntLE(15, 3) + 1;
    }
    const bytes = chunk.readUInt32LE(4);
    at += 8 + bytes + (bytes & 1);
    if (type === 'ANMF') ends.push(Math.min(at, file.size));
  }
  return { width, height, ends, showsGround: false };
}

/** The first frames as a WebP of their own. */
export function cutWebp(file: PictureFile, end: number): Buffer {
  const cut = Buffer.from(file.at(0, end));
  cut.writeUInt32LE(end - 8, 4);
  return cut;
}
