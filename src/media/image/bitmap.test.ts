import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { bitmapToTiff } from './bitmap.js';
import type { ImageSettings } from './image-settings.js';

interface Bitmap {
  readonly width: number;
  /** Negative for top-down. */
  readonly height: number;
  readonly bits: number;
  readonly compression?: number;
  readonly headerBytes?: number;
  /** Behind the header: masks, and the palette. */
  readonly tables?: readonly number[];
  readonly colors?: number;
  /** Where the file says that the pixels begin. Default: where they do. */
  readonly start?: number;
  readonly pixels: readonly number[];
}

const bytesOf = (...values: number[]) => values.flatMap((value) => [0, 8, 16, 24].map((by) => value >>> by));

function bitmapOf(given: Bitmap): Buffer {
  const { bits, colors = 0, compression = 0, headerBytes = 40, height, pixels, tables = [], width } = given;
  const head = Buffer.alloc(14 + headerBytes);
  const isOld = headerBytes === 12;
  head.write('BM');
  head.writeUInt32LE(given.start ?? head.length + tables.length, 10);
  head.writeUInt32LE(headerBytes, 14);
  if (isOld) head.set([width, 0, height, 0, 1, 0, bits, 0], 18);
  else {
    head.writeInt32LE(width, 18);
    head.writeInt32LE(height, 22);
    head.writeUInt16LE(bits, 28);
  }
  if (headerBytes >= 40) {
    head.writeUInt32LE(compression, 30);
    head.writeUInt32LE(colors, 46);
  }
  return Buffer.concat([head, Buffer.from(tables), Buffer.from(pixels)]);
}

async function pixelsOf(file: Buffer): Promise<string[]> {
  const input = { name: 'a.bmp', mimeType: 'image/bmp', bytes: file.length, data: file };
  const settings = { maxPixels: 1000 } as ImageSettings;
  const work = { report: () => undefined, admit: () => undefined, signal: new AbortController().signal };
  const { data } = await sharp(await bitmapToTiff(input, settings, work))
    .raw()
    .toBuffer({ resolveWithObject: true });
  return data.toString('hex').match(/.{6}/g) ?? [];
}

const [red, green, blue, white, black] = ['ff0000', '00ff00', '0000ff', 'ffffff', '000000'];
/** Blue comes first in a file. */
const palette = bytesOf(0, 0xff0000, 0x00ff00, 0x0000ff);

describe('bitmapToTiff', () => {
  it.each<[string, Bitmap, readonly string[]]>([
    [
      'rows from the bottom',
      { width: 1, height: 2, bits: 24, pixels: [255, 0, 0, 0, 0, 255, 0, 0] },
      [green, blue],
    ],
    [
      'rows from the top',
      { width: 1, height: -2, bits: 24, pixels: [255, 0, 0, 0, 0, 255, 0, 0] },
      [blue, green],
    ],
    ['a last row without what fills it up', { width: 1, height: 1, bits: 24, pixels: [0, 0, 255] }, [red]],
    [
      'the header of OS/2',
      {
        width: 2,
        height: 1,
        bits: 4,
        headerBytes: 12,
        tables: [0, 0, 0, 0, 0, 255],
        colors: 2,
        start: 74,
        pixels: [...new Array<number>(42).fill(0), 0x10, 0, 0, 0],
      },
      [red, black],
    ],
    [
      '2 bits',
      { width: 3, height: 1, bits: 2, tables: palette, colors: 4, pixels: [0b01_10_11_00, 0, 0, 0] },
      [red, green, blue],
    ],
    [
      'an index without a color',
      { width: 2, height: 1, bits: 8, tables: palette, colors: 4, pixels: [1, 9, 0, 0] },
      [red, black],
    ],
    [
      'a start that forgets the palette',
      { width: 2, height: 1, bits: 8, tables: palette, colors: 4, start: 54, pixels: [2, 3, 0, 0] },
      [green, blue],
    ],
    [
      '32 bits of which the last mean nothing',
      { width: 2, height: 1, bits: 32, pixels: [0, 0, 255, 10, 255, 0, 0, 200] },
      [red, blue],
    ],
    [
      'transparency, on white',
      {
        ...{ width: 2, height: 1, bits: 32, compression: 3, headerBytes: 108 },
        tables: [],
        start: 122,
        pixels: [0, 0, 255, 255, 255, 0, 0, 0],
      },
      [red, white],
    ],
    [
      'transparency of which nothing would be seen',
      { width: 1, height: 1, bits: 32, compression: 3, headerBytes: 108, pixels: [0, 255, 0, 0] },
      [green],
    ],
    ['16 bits without masks', { width: 2, height: 1, bits: 16, pixels: [0, 0x7c, 0x1f, 0] }, [red, blue]],
    [
      'masks',
      {
        width: 1,
        height: 1,
        bits: 16,
        compression: 3,
        tables: bytesOf(0xf, 0xf0, 0xf00),
        pixels: [0xf0, 0, 0, 0],
      },
      [green],
    ],
    [
      'runs of 8 bits, a skip and an end',
      {
        ...{ width: 3, height: 2, bits: 8, compression: 1, tables: palette, colors: 4 },
        pixels: [2, 1, 0, 0, 0, 2, 1, 0, 1, 2, 0, 1],
      },
      [black, green, black, red, red, black],
    ],
    [
      'runs and single indexes of 4 bits',
      {
        ...{ width: 5, height: 1, bits: 4, compression: 2, tables: palette, colors: 4 },
        pixels: [2, 0x12, 0, 3, 0x32, 0x10, 0, 1],
      },
      [red, green, blue, green, red],
    ],
  ])('reads %s', async (_, bitmap, expected) => {
    if (bitmap.headerBytes === 108) {
      const file = bitmapOf(bitmap);
      file.set(bytesOf(0xff0000, 0xff00, 0xff, 0xff000000), 54);
      expect(await pixelsOf(file)).toEqual(expected);
    } else expect(await pixelsOf(bitmapOf(bitmap))).toEqual(expected);
  });

  it.each<[string, Bitmap]>([
    ['pixels', { width: 2, height: 2, bits: 24, pixels: [1, 2, 3, 4] }],
    ['runs', { width: 3, height: 1, bits: 8, compression: 1, tables: palette, colors: 4, pixels: [1, 1] }],
    ['a width', { width: -2, height: 1, bits: 24, pixels: [1, 2, 3, 4, 5, 6, 7, 8] }],
    ['a kind', { width: 1, height: 1, bits: 24, compression: 1, pixels: [1, 2, 3, 4] }],
  ])('refuses a file without %s', async (_, bitmap) => {
    await expect(pixelsOf(bitmapOf(bitmap))).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  });
});
