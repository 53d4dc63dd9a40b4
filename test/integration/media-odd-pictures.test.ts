import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { PreparedMedia } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { drawPicture, readPattern } from '../support/media-fixtures.js';
import { bitmapOfTenBits, type OddPage, oddTiff, plainPage, uncoveringGif } from '../support/odd-pictures.js';

const processor = new DefaultMediaProcessor({ quality: 100 });
afterAll(() => processor.close());

const color = [200, 60, 40] as const;
const plain = (width = 64, height = 32) =>
  sharp({ create: { width, height, channels: 3, background: `rgb(${color})` } });

/** The color at a place of a part, from 0 to 1. */
async function colorOf(media: PreparedMedia, part = 0, x = 0.5, y = 0.5): Promise<readonly number[]> {
  const { data, info } = await sharp(media.parts[part]?.data)
    .toColorspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const at = (Math.floor(y * info.height) * info.width + Math.floor(x * info.width)) * info.channels;
  return [...data.subarray(at, at + 3)];
}

function expectColor(actual: readonly number[], expected: readonly number[], tolerance = 3): void {
  for (const [i, value] of expected.entries())
    expect(Math.abs((actual[i] ?? 0) - value), `${actual}`).toBeLessThanOrEqual(tolerance);
}

const sizesOf = (media: PreparedMedia) =>
  Promise.all(
    media.parts.map(async ({ data }) => {
      const { width, height } = await sharp(data).metadata();
      return [width, height];
    }),
  );

describe('pictures of more than 8 bits a channel', () => {
  const deep = (profile?: string) => {
    const picture = plain().toColorspace('rgb16');
    return profile ? picture.withIccProfile(profile) : picture;
  };
  it.each([
    ['PNG without a profile', () => deep().png()],
    ['PNG with the profile of sRGB', () => deep('srgb').png()],
    ['PNG with the profile of Display P3', () => deep('p3').png()],
    [
      'gray PNG',
      () =>
        sharp({ create: { width: 8, height: 8, channels: 3, background: `rgb(${color})` } })
          .toColorspace('rgb16')
          .withIccProfile('srgb')
          .png(),
    ],
    [
      'AVIF of 10 bits with the profile of sRGB',
      () => plain().withIccProfile('srgb').avif({ bitdepth: 10, quality: 95, effort: 0 }),
    ],
    [
      'AVIF of 12 bits with the profile of Display P3',
      () => plain().withIccProfile('p3').avif({ bitdepth: 12, quality: 95, effort: 0 }),
    ],
    ['AVIF of 10 bits without a profile', () => plain().avif({ bitdepth: 10, quality: 95, effort: 0 })],
  ])('are shown in their own colors: %s', async (_, make) => {
    expectColor(await colorOf(await processor.prepare(await make().toBuffer())), color);
  });

  it('are put on white where they are transparent', async () => {
    const data = await sharp({
      create: { width: 8, height: 8, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0.5 } },
    })
      .toColorspace('rgb16')
      .withIccProfile('srgb')
      .png()
      .toBuffer();
    expectColor(await colorOf(await processor.prepare(data)), [255, 127, 127]);
  });
});

describe('TIFF pictures', () => {
  it('have each page in its own shape', async () => {
    const data = oddTiff([plainPage(24, 34, [255, 0, 0]), plainPage(174, 248, [0, 255, 0])]);
    const media = await processor.prepare(data);
    expect(await sizesOf(media)).toEqual([
      [24, 34],
      [174, 248],
    ]);
    expectColor(await colorOf(media, 1), [0, 255, 0]);
  });

  it('show no reduced copies, by either of their fields', async () => {
    const copies = [{ 254: [1] }, { 255: [2] }].map((fields) => plainPage(8, 8, [0, 0, 255], fields));
    const data = oddTiff([
      ...copies,
      plainPage(64, 32, [255, 0, 0]),
      ...copies,
      plainPage(32, 64, [0, 255, 0]),
    ]);
    const media = await new DefaultMediaProcessor({ maxPages: 1 }).prepare(data);
    expect(await sizesOf(media)).toEqual([[64, 32]]);
    expect(media.note).toBe('Only the first 1 of 2 pages are shown.');
  });

  it.each([
    ['one', plainPage(8, 8, [...color, 17], { 338: [0] })],
    ['two', plainPage(8, 8, [...color, 17, 99], { 338: [0, 0] })],
  ])('are shown without channels that are neither color nor transparency: %s', async (_, page) => {
    expectColor(await colorOf(await processor.prepare(oddTiff([page]))), color);
  });

  it('keep a channel of transparency', async () => {
    const page = plainPage(8, 8, [255, 0, 0, 128], { 338: [2] });
    expectColor(await colorOf(await processor.prepare(oddTiff([page]))), [255, 127, 127]);
  });

  const samples = (bits: number, fields: OddPage['fields']): OddPage => ({
    ...{ width: 8, height: 8, pixels: Buffer.alloc(64 * (bits / 8)) },
    fields: { 258: [bits], 262: [1], 277: [1], ...fields },
  });
  it.each([
    ['samples of 32 bits', samples(32, {})],
    ['floating-point samples of 32 bits', samples(32, { 339: [3] })],
    ['floating-point samples of 64 bits', samples(64, { 339: [3] })],
    ['signed samples of 16 bits', samples(16, { 339: [2] })],
    ['signed samples of 8 bits', samples(8, { 339: [2] })],
    ['complex samples', samples(64, { 339: [6] })],
    ['samples of 12 bits', plainPage(8, 8, color, { 258: [12, 12, 12] })],
    ['data compressed as LZMA', plainPage(8, 8, color, { 259: [34_925] })],
    ['data compressed as JPEG 2000', plainPage(8, 8, color, { 259: [34_712] })],
    ['old-style JPEG', plainPage(8, 8, color, { 259: [6], 262: [6] })],
    ['YCbCr colors for each pixel', plainPage(8, 8, color, { 262: [6], 530: [1, 1] })],
    ['Lab colors of 8 bits', plainPage(8, 8, color, { 262: [8] })],
    ['Lab colors and further channels', plainPage(8, 8, [...color, 9], { 262: [8], 338: [2] })],
  ])('are refused by name where their colors would be wrong: %s', async (what, page) => {
    for (const pages of [[page], [plainPage(8, 8, color), page]]) {
      await expect(processor.prepare({ data: oddTiff(pages), name: 'a.tif' })).rejects.toMatchObject({
        code: 'MEDIA_UNSUPPORTED',
        message: expect.stringContaining(what),
      });
    }
  });
});

describe('raw camera files', () => {
  const preview = () => drawPicture(77, 320, 160).jpeg().toBuffer();
  const thumbnail = () => drawPicture(5, 64, 32).jpeg().toBuffer();
  const note = 'This is the preview that the camera stored in its raw file.';

  const started = (head: string) => async () =>
    Buffer.concat([Buffer.from(head.padEnd(64, '\0'), 'latin1'), await thumbnail(), await preview()]);
  const directory = (fields: OddPage['fields']) => async () =>
    oddTiff([plainPage(8, 8, color, fields)], Buffer.concat([await thumbnail(), await preview()]));
  it.each([
    ['DNG', directory({ 50706: [1] })],
    ['NEF', directory({ 254: [1], 259: [34_713] })],
    ['ARW', directory({ 262: [32_803] })],
    ['CR3', started('\0\0\0\x18ftypcrx \0\0\0\x01crx isom')],
    ['RAF', started('FUJIFILMCCD-RAW 0201')],
    ['ORF', started('IIRO\x08\0\0\0')],
    ['RW2', started('IIU\0\x08\0\0\0')],
  ])('are shown by the preview inside: %s', async (_, make) => {
    const media = await processor.prepare(await make());
    expect(await readPattern(media.parts[0]?.data ?? new Uint8Array())).toBe(77);
    expect(media).toMatchObject({ note, source: { width: 320, height: 160 } });
  });

  it('are shown upright', async () => {
    const turned = await sharp(await preview())
      .rotate(270)
      .jpeg()
      .toBuffer();
    const data = oddTiff([plainPage(8, 8, color, { 50706: [1], 274: [6] })], turned);
    const { parts } = await processor.prepare(data);
    expect(await readPattern(parts[0]?.data ?? new Uint8Array())).toBe(77);
  });

  it('are called by their name if there is no preview', async () => {
    const data = oddTiff([plainPage(8, 8, color, { 262: [32_803] })]);
    await expect(processor.prepare(data)).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: expect.stringContaining('raw camera file without a preview'),
    });
  });
});

describe('other pictures', () => {
  it('are white where a GIF covers nothing', async () => {
    const media = await processor.prepare(uncoveringGif());
    expect(media.source).toMatchObject({ width: 8, height: 8 });
    expect(media.source.durationMs).toBeUndefined();
    expectColor(await colorOf(media, 0, 0.05, 0.05), [255, 255, 255], 12);
  });

  it('are white where an AVIF of limited range is transparent', async () => {
    const pixels = Buffer.alloc(64 * 64 * 4);
    for (let at = 0; at < pixels.length; at += 4)
      pixels.set([...color, at < pixels.length / 2 ? 16 : 235], at);
    const raw = { width: 64, height: 64, channels: 4 as const };
    const data = await sharp(pixels, { raw }).avif({ lossless: true, effort: 0 }).toBuffer();
    const media = await processor.prepare(data);
    expectColor(await colorOf(media, 0, 0.5, 0.1), [255, 255, 255]);
    expectColor(await colorOf(media, 0, 0.5, 0.9), color);
  });

  it('have the colors of a BMP wherever its bits are', async () => {
    const media = await processor.prepare(bitmapOfTenBits());
    expect(media.source).toMatchObject({ width: 64, height: 8 });
    expectColor(await colorOf(media, 0, 0.2), [255, 0, 0]);
    expectColor(await colorOf(media, 0, 0.8), [0, 128, 0]);
  });
});
