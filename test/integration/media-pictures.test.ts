import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PreparedMedia } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { mediaProcessorContract } from '../../src/testing/contracts/media-processor-contract.js';
import { drawPicture, makeBitmap, readPattern } from '../support/media-fixtures.js';

const processor = new DefaultMediaProcessor();
const first = (media: PreparedMedia) => media.parts[0]?.data ?? new Uint8Array();
const sizeOf = async (media: PreparedMedia) => {
  const { width, height, format } = await sharp(first(media)).metadata();
  return { width, height, format };
};
/** The color in the middle of the first part. */
async function middleOf(media: PreparedMedia): Promise<readonly number[]> {
  const { data, info } = await sharp(first(media)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (Math.floor(info.height / 2) * info.width + Math.floor(info.width / 2)) * info.channels;
  return [...data.subarray(at, at + 3)];
}
function expectColor(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  for (const [i, value] of expected.entries())
    expect(Math.abs((actual[i] ?? 0) - value), `${actual}`).toBeLessThanOrEqual(tolerance);
}
const plain = (background: string | object, width = 64, height = 64) =>
  sharp({ create: { width, height, channels: 4, background: background as string } });

describe('DefaultMediaProcessor', () => {
  for (const { name, run } of mediaProcessorContract(async () => new DefaultMediaProcessor())) it(name, run);
});

describe('pictures', () => {
  it.each([
    {
      file: 'a.jpg',
      make: () => drawPicture(11).jpeg({ progressive: true }).toBuffer(),
      mimeType: 'image/jpeg',
    },
    { file: 'a.png', make: () => drawPicture(11).png().toBuffer(), mimeType: 'image/png' },
    {
      file: 'palette.png',
      make: () => drawPicture(11).png({ palette: true }).toBuffer(),
      mimeType: 'image/png',
    },
    {
      file: 'deep.png',
      make: () => drawPicture(11).toColorspace('rgb16').png().toBuffer(),
      mimeType: 'image/png',
    },
    {
      file: 'grey16.png',
      make: () => drawPicture(11).toColorspace('grey16').png().toBuffer(),
      mimeType: 'image/png',
    },
    { file: 'a.gif', make: () => drawPicture(11).gif().toBuffer(), mimeType: 'image/gif' },
    { file: 'a.tiff', make: () => drawPicture(11).tiff().toBuffer(), mimeType: 'image/tiff' },
    {
      file: 'deep.tiff',
      make: () => drawPicture(11).toColorspace('rgb16').tiff().toBuffer(),
      mimeType: 'image/tiff',
    },
    { file: 'a.webp', make: () => drawPicture(11).webp().toBuffer(), mimeType: 'image/webp' },
    { file: 'a.avif', make: () => drawPicture(11).avif({ effort: 0 }).toBuffer(), mimeType: 'image/avif' },
    {
      file: 'cmyk.jpg',
      make: () => drawPicture(11).toColorspace('cmyk').jpeg().toBuffer(),
      mimeType: 'image/jpeg',
    },
    { file: 'gray.jpg', make: () => drawPicture(11).grayscale().jpeg().toBuffer(), mimeType: 'image/jpeg' },
  ])('shows $file as JPEG', async ({ file, make, mimeType }) => {
    const data = await make();
    const media = await processor.prepare({ data, name: file });
    expect(media).toMatchObject({ kind: 'image', name: file, estimatedTokens: 1120 });
    expect(media.source).toEqual({ mimeType, bytes: data.length, width: 640, height: 320 });
    expect(media.parts.map((part) => part.mimeType)).toEqual(['image/jpeg']);
    expect(await readPattern(first(media))).toBe(11);
    expect((await sharp(first(media)).metadata()).space).toMatch(/srgb|b-w/);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'shows a picture upright that EXIF orientation %i describes',
    async (orientation) => {
      // The inverse of what a viewer does for this orientation.
      const turn = {
        1: [0, false],
        2: [0, true],
        3: [180, false],
        4: [180, true],
        5: [90, true],
        6: [270, false],
        7: [270, true],
        8: [90, false],
      }[orientation] as [number, boolean];
      const stored = await sharp(await drawPicture(300).png().toBuffer())
        .rotate(turn[0])
        .png()
        .toBuffer();
      const data = await sharp(stored).flop(turn[1]).withMetadata({ orientation }).jpeg().toBuffer();
      const media = await processor.prepare(data);
      expect(await readPattern(first(media))).toBe(300);
      expect(media.source).toMatchObject({ width: 640, height: 320 });
      expect((await sharp(first(media)).metadata()).orientation ?? 1).toBe(1);
    },
  );

  it('scales to the longest side, and never up', async () => {
    const large = await drawPicture(1, 3000, 1500).png().toBuffer();
    expect(await sizeOf(await processor.prepare(large))).toEqual({ width: 768, height: 384, format: 'jpeg' });
    const small = await drawPicture(1, 64, 32).png().toBuffer();
    expect(await sizeOf(await processor.prepare(small))).toEqual({ width: 64, height: 32, format: 'jpeg' });
    const panorama = await plain('#336699', 9000, 3).png().toBuffer();
    expect(await sizeOf(await processor.prepare(panorama))).toEqual({
      width: 768,
      height: 1,
      format: 'jpeg',
    });
  });

  it('sends a small upright JPEG as it is', async () => {
    const data = await drawPicture(1).jpeg().toBuffer();
    expect(Buffer.from(first(await processor.prepare(data))).equals(data)).toBe(true);
  });

  it('puts transparency on white', async () => {
    for (const encode of ['png', 'webp', 'tiff', 'avif'] as const) {
      const options = encode === 'tiff' ? { compression: 'lzw' as const } : {};
      const data = await plain({ r: 255, g: 0, b: 0, alpha: 0 })[encode](options).toBuffer();
      expectColor(await middleOf(await processor.prepare(data)), [255, 255, 255], 3);
    }
  });

  it('brings the colors of other spaces to sRGB', async () => {
    const wide = await plain({ r: 200, g: 60, b: 40, alpha: 1 })
      .removeAlpha()
      .withIccProfile('p3')
      .jpeg({ quality: 100 })
      .toBuffer();
    expectColor(await middleOf(await processor.prepare(wide)), [200, 60, 40], 4);
    const print = await plain({ r: 180, g: 120, b: 100, alpha: 1 })
      .removeAlpha()
      .toColorspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer();
    expectColor(await middleOf(await processor.prepare(print)), [180, 120, 100], 12);
  });

  it('shows moments over the whole loop of an animation, with their times', async () => {
    const pages = await Promise.all(
      Array.from({ length: 20 }, (_, n) => drawPicture(n, 64, 32).png().toBuffer()),
    );
    for (const encode of ['gif', 'webp'] as const) {
      const animation = sharp(pages, { join: { animated: true } });
      const data = await (encode === 'gif'
        ? animation.gif({ delay: 100 })
        : animation.webp({ delay: 100, lossless: true })
      ).toBuffer();
      const media = await new DefaultMediaProcessor({ frames: 4 }).prepare(data);
      expect(await Promise.all(media.parts.map((part) => readPattern(part.data)))).toEqual([2, 7, 12, 17]);
      expect(media.parts.map((part) => part.timestampMs)).toEqual([200, 700, 1200, 1700]);
      expect(media.source).toMatchObject({ width: 64, height: 32, durationMs: 2000 });
      expect(media.estimatedTokens).toBe(4 * 1120);
    }
  });

  it('shows the first pages of a picture with many, and says so', async () => {
    const pages = await Promise.all(
      Array.from({ length: 5 }, (_, n) => drawPicture(n, 64, 32).png().toBuffer()),
    );
    const data = await sharp(pages, { join: { animated: true } })
      .tiff()
      .toBuffer();
    const media = await new DefaultMediaProcessor({ maxPages: 3 }).prepare(data);
    expect(await Promise.all(media.parts.map((part) => readPattern(part.data)))).toEqual([0, 1, 2]);
    expect(media.parts.map((part) => part.timestampMs)).toEqual([undefined, undefined, undefined]);
    expect(media.note).toBe('Only the first 3 of 5 pages are shown.');
  });
});

describe('BMP pictures', () => {
  const colors = [0x000000, 0xffffff, 0xf80000, 0x00fc00];
  it.each([
    { bits: 1, colors: 2 },
    { bits: 4, colors: 4 },
    { bits: 8, colors: 4 },
    { bits: 16, colors: 4 },
    { bits: 24, colors: 4 },
    { bits: 32, colors: 4 },
    { bits: 24, colors: 4, topDown: true },
  ] as const)(
    'shows one of $bits bits ($colors colors, top-down $topDown)',
    async ({ bits, colors: count, ...kind }) => {
      const colorAt = (x: number, y: number) =>
        count === 2 ? (x < 32 ? 0 : 0xffffff) : (colors[(x < 32 ? 0 : 1) + (y < 32 ? 0 : 2)] ?? 0);
      const data = makeBitmap({ width: 63, height: 64, bits, colorAt, ...kind });
      const media = await processor.prepare({ data, name: 'a.bmp' });
      expect(media.source).toMatchObject({ mimeType: 'image/bmp', width: 63, height: 64 });
      const { data: pixels, info } = await sharp(first(media)).raw().toBuffer({ resolveWithObject: true });
      for (const [x, y] of [
        [8, 8],
        [55, 8],
        [8, 55],
        [55, 55],
      ] as const) {
        const expected = colorAt(x, y);
        const at = (y * info.width + x) * info.channels;
        expectColor(
          [...pixels.subarray(at, at + 3)],
          [expected >> 16, (expected >> 8) & 255, expected & 255],
          12,
        );
      }
    },
  );

  it('refuses one that breaks off or claims to be enormous', async () => {
    const data = makeBitmap({ width: 64, height: 64, bits: 24, colorAt: () => 0 });
    await expect(processor.prepare(data.subarray(0, 20))).rejects.toMatchObject({ name: 'MediaError' });
    await expect(processor.prepare(data.subarray(0, 70))).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
    data.writeInt32LE(60_000, 18);
    data.writeInt32LE(60_000, 22);
    await expect(processor.prepare(data)).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
  });
});

describe('sources', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sources-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('reads every kind of source, with the same result', async () => {
    const picture = await drawPicture(5).png().toBuffer();
    const path = join(directory, 'a picture: with 100% odd name.png');
    await writeFile(path, picture);
    const sources = [
      path,
      pathToFileURL(path),
      picture,
      new Uint8Array(picture),
      picture.buffer.slice(picture.byteOffset, picture.byteOffset + picture.length) as ArrayBuffer,
      new Blob([picture]),
      new File([picture], 'named.png'),
      Readable.from([picture.subarray(0, 9), picture.subarray(9)]),
      new Blob([picture]).stream(),
      { data: Readable.from([picture]), name: 'named.png', mimeType: 'image/png' },
    ];
    const all = await Promise.all(sources.map((source) => processor.prepare(source)));
    for (const media of all) {
      expect(await readPattern(first(media))).toBe(5);
      expect(media.fingerprint).toBe(all[0]?.fingerprint);
    }
    expect(all[6]?.name).toBe('named.png');
    expect(all[1]?.name).toBe('a picture: with 100% odd name.png');
  });

  it('keeps a stream that is too large for memory in a private file, and removes it', async () => {
    const tempDir = join(directory, 'temp');
    const wav = Buffer.alloc(40 * 2 ** 20);
    Buffer.from(
      'RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\xff\xff\xff\x7f',
      'latin1',
    ).copy(wav);
    const large = new DefaultMediaProcessor({ tempDir });
    const outcome = await large
      .prepare({ data: Readable.from([wav.subarray(0, 2 ** 25), wav.subarray(2 ** 25)]), name: 'a.wav' })
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: 'MEDIA_CORRUPT', message: expect.stringMatching(/silent/) });
    expect(await readdir(tempDir)).toEqual([]);
  });

  it('passes a PDF and a text on, and estimates their cost', async () => {
    const pdf = Buffer.from(
      '%PDF-1.4\n1 0 obj<</Type/Pages/Kids[2 0 R 3 0 R]/Count 2>>endobj\n2 0 obj<</Type/Page>>endobj\n3 0 obj<</Type/Page>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n',
    );
    const document = await processor.prepare({ data: pdf, name: 'a.pdf' });
    expect(document).toMatchObject({
      kind: 'document',
      estimatedTokens: 2 * 560,
      parts: [{ mimeType: 'application/pdf', data: Uint8Array.from(pdf) }],
    });
    const text = await processor.prepare({ data: Buffer.from('Grüße,1\n'), name: 'a.csv' });
    expect(text).toMatchObject({ kind: 'document', parts: [{ mimeType: 'text/plain' }], estimatedTokens: 2 });
    await expect(processor.prepare({ data: pdf.subarray(0, 60), name: 'a.pdf' })).rejects.toMatchObject({
      code: 'MEDIA_CORRUPT',
    });
  });
});

describe('the same bytes again', () => {
  it('come from memory under their new name, and are not the caller’s buffer', async () => {
    const caching = new DefaultMediaProcessor();
    const data = await drawPicture(9).jpeg().toBuffer();
    const original = Buffer.from(data);
    const before = await caching.prepare({ data, name: 'first.jpg' });
    data.fill(0);
    const after = await caching.prepare({ data: original, name: 'second.jpg' });
    expect(after.name).toBe('second.jpg');
    expect(after.parts).toBe(before.parts);
    expect(await readPattern(first(after))).toBe(9);
  });

  it('are prepared once for all concurrent calls', async () => {
    const caching = new DefaultMediaProcessor({ cacheBytes: 0 });
    const data = await drawPicture(9, 2000, 1000).png().toBuffer();
    const all = await Promise.all([1, 2, 3].map(() => caching.prepare({ data, name: 'same.png' })));
    expect(new Set(all.map((media) => media.parts)).size).toBe(1);
  });
});
