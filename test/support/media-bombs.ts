import { deflateSync } from 'node:zlib';
import { crc32 } from './media-mutations.js';

/** Files that are small and claim, or unpack to, anything but that. */

export function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** A black PNG of one bit a pixel; `extra` goes before the pixels. */
export function pngOf(
  width: number,
  height: number,
  extra: readonly (readonly [string, Buffer])[] = [],
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0, 0, 0, 0], 8);
  const pixelBytes = Math.min((Math.ceil(width / 8) + 1) * height, 2 ** 27);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...extra.map(([type, data]) => chunk(type, data)),
    chunk('IDAT', deflateSync(Buffer.alloc(pixelBytes), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A color profile or comment that unpacks to 64 MB. */
export const unpackedText = (): Buffer =>
  Buffer.concat([Buffer.from('Name\0\0', 'latin1'), deflateSync(Buffer.alloc(64e6, 65), { level: 9 })]);

/** The first bytes of a lossless WebP of the largest size that there is. */
export function webpOf(width: number, height: number): Buffer {
  const out = Buffer.alloc(64);
  out.write('RIFF', 0, 'latin1');
  out.writeUInt32LE(56, 4);
  out.write('WEBPVP8L', 8, 'latin1');
  out.writeUInt32LE(44, 16);
  out[20] = 0x2f;
  out.writeUInt32LE(((width - 1) | ((height - 1) << 14)) >>> 0, 21);
  return out;
}

/** A GIF whose frames claim a size and hold one pixel, on a canvas of that size. */
export function gifOf(frames: number, side = 1): Buffer {
  const header = Buffer.from('GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff', 'latin1');
  header.writeUInt16LE(side, 6);
  header.writeUInt16LE(side, 8);
  const control = '\x21\xf9\x04\0\x05\0\0\0';
  const frame = Buffer.from(`${control}\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0`, 'latin1');
  frame.writeUInt16LE(side, 13);
  frame.writeUInt16LE(side, 15);
  return Buffer.concat([header, ...new Array<Buffer>(frames).fill(frame), Buffer.from(';')]);
}

export interface TiffPage {
  readonly width: number;
  readonly height: number;
  readonly compression?: 'none' | 'deflate';
  readonly data: Buffer;
  /** As the file claims. Default: what there is. */
  readonly stripBytes?: number;
}

/** Gray pages of one strip each; `loop` makes the last point back to the first. */
export function tiffOf(page: TiffPage, pages = 1, loop = false): Buffer {
  const { width, height, compression = 'none', data, stripBytes = data.length } = page;
  const entries = [
    [256, 4, width],
    [257, 4, height],
    [258, 3, 8],
    [259, 3, compression === 'deflate' ? 8 : 1],
    [262, 3, 1],
    [273, 4, 8],
    [278, 4, height],
    [279, 4, stripBytes],
  ] as const;
  const pageBytes = 2 + entries.length * 12 + 4;
  const firstAt = 8 + data.length;
  const out = Buffer.alloc(firstAt + pages * pageBytes);
  out.write('II*\0', 0, 'latin1');
  out.writeUInt32LE(firstAt, 4);
  data.copy(out, 8);
  for (let n = 0; n < pages; n += 1) {
    const at = firstAt + n * pageBytes;
    out.writeUInt16LE(entries.length, at);
    entries.forEach(([tag, type, value], i) => {
      const entry = at + 2 + i * 12;
      out.writeUInt16LE(tag, entry);
      out.writeUInt16LE(type, entry + 2);
      out.writeUInt32LE(1, entry + 4);
      out.writeUInt32LE(value, entry + 8);
    });
    out.writeUInt32LE(n + 1 < pages ? at + pageBytes : loop ? firstAt : 0, at + pageBytes - 4);
  }
  return out;
}

export const emptyTiffPage = (): TiffPage => ({ width: 1, height: 1, data: Buffer.from([0]) });

export const deflatedTiffPage = (side: number): TiffPage => ({
  ...{ width: side, height: side, compression: 'deflate' },
  data: deflateSync(Buffer.alloc(Math.min(side * side, 2 ** 27)), { level: 9 }),
});

/** A box of MP4. */
export function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8, 0);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
}

export const fileType = (): Buffer => box('ftyp', Buffer.from('isom\0\0\x02\0isommp41', 'latin1'));

/** Boxes in boxes in boxes. */
export function nestedBoxes(depth: number): Buffer {
  let inner = box('trak');
  for (let level = 0; level < depth; level += 1) inner = box(level % 2 ? 'trak' : 'mdia', inner);
  return Buffer.concat([fileType(), box('moov', inner)]);
}

/** Sets 32-bit fields in every box of a type. @throws when there is none. */
export function patchBoxes(file: Buffer, type: string, fields: Readonly<Record<number, number>>): Buffer {
  const out = Buffer.from(file);
  let found = 0;
  for (let at = out.indexOf(type, 0, 'latin1'); at > 0; at = out.indexOf(type, at + 1, 'latin1')) {
    for (const [offset, value] of Object.entries(fields)) out.writeUInt32BE(value, at + 4 + Number(offset));
    found += 1;
  }
  if (found === 0) throw new Error(`There is no ${type}.`);
  return out;
}
