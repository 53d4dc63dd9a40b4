import type { Animation } from './animation.js';
import type { PictureFile } from './picture-file.js';

const [extension, descriptor] = [0x21, 0x2c];
const graphicControl = 0xf9;

/**
 * The frames of a GIF by its blocks, without decoding any.
 *
 * @param most frames after which it stops counting
 */
export function readGif(file: PictureFile, most: number): Animation {
  const screen = file.at(0, 13);
  const [width, height] = [screen.readUInt16LE(6), screen.readUInt16LE(8)];
  const ends: number[] = [];
  let [covers, clears, isTransparent] = [true, false, false];
  let at = 13 + tableBytes(screen[10] ?? 0);
  while (at < file.size && ends.length <= most) {
    const block = file.at(at, 10);
    if (block[0] === extension) {
      if (block[1] === graphicControl) {
        const flags = block[3] ?? 0;
        clears ||= ((flags >> 2) & 7) >= 2;
        isTransparent ||= (flags & 1) === 1;
      }
      at = skipSubBlocks(file, at + 2);
    } else if (block[0] === descriptor && block.length === 10) {
      if (ends.length === 0) {
        const [left, top] = [block.readUInt16LE(1), block.readUInt16LE(3)];
        covers = left === 0 && top === 0 && block.readUInt16LE(5) >= width && block.readUInt16LE(7) >= height;
      }
      at = skipSubBlocks(file, at + 10 + tableBytes(block[9] ?? 0) + 1);
      ends.push(at);
    } else break;
  }
  return { width, height, ends, showsGround: !isTransparent && (!covers || clears) };
}

/** The bytes of a color table by the flags in front of it. */
function tableBytes(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

function skipSubBlocks(file: PictureFile, from: number): number {
  for (let at = from; at < file.size; ) {
    const length = file.at(at, 1)[0] ?? 0;
    at += 1 + length;
    if (length === 0) return at;
  }
  return file.size;
}

/** A frame of one transparent pixel, and the end of the file. */
const transparentEnd = Buffer.from(
  '\x21\xf9\x04\x01\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\x80\0\0\0\xff\xff\xff\x02\x02\x44\x01\0\x3b',
  'latin1',
);

/**
 * The first frames as a GIF of their own, with one more that is not to be shown: libvips 8.18 fills what no
 * frame covers with black, unless a frame has transparency.
 */
export function cutGif(file: PictureFile, end: number): Buffer {
  return Buffer.concat([file.at(0, end), transparentEnd]);
}
