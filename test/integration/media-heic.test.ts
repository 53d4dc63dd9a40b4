import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PreparedMedia } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import type { MediaOptions } from '../../src/media/media-options.js';
import { availableFfmpegs, drawPicture, readPattern } from '../support/media-fixtures.js';
import { type HeicOptions, makeHeic } from '../support/media-heic.js';

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: HEIC pictures. There is no ffmpeg. Run apt install ffmpeg.');
const haveTools = spawnSync('heif-enc', ['--help']).status === 0;
if (!haveTools && !process.env.CI)
  console.warn('SKIPPED: HEIC pictures of other programs. Run apt install libheif-examples.');

const tile = { width: 128, height: 128 };
const picture = () => drawPicture(77, 300, 150);

async function prepare(
  data: Buffer,
  options: MediaOptions = {},
  name = 'photo.heic',
): Promise<PreparedMedia> {
  const processor = new DefaultMediaProcessor(options);
  try {
    return await processor.prepare({ data, name });
  } finally {
    await processor.close();
  }
}

const numberIn = (media: PreparedMedia) => readPattern(media.parts[0]?.data ?? new Uint8Array());

async function colorIn(media: PreparedMedia): Promise<readonly number[]> {
  const { data } = await sharp(media.parts[0]?.data).resize(1, 1).raw().toBuffer({ resolveWithObject: true });
  return [...data];
}

/** The stored picture that is upright after a number of quarter turns counterclockwise and a mirror. */
async function stored(turns: number, mirror: 0 | 1 | undefined): Promise<Sharp> {
  const upright = await picture().png().toBuffer();
  const mirrored =
    mirror === undefined
      ? upright
      : await (mirror ? sharp(upright).flop() : sharp(upright).flip()).toBuffer();
  return sharp(
    await sharp(mirrored)
      .rotate(90 * turns)
      .toBuffer(),
  );
}

describe.skipIf(!haveFfmpeg && !process.env.CI)('HEIC pictures', () => {
  const orientations = [0, 1, 2, 3].flatMap((turns) =>
    ([undefined, 0, 1] as const).map((mirror) => ({ turns, mirror })),
  );

  it.each(orientations)('are upright after $turns turns and mirror $mirror', async (orientation) => {
    const data = await makeHeic(await stored(orientation.turns, orientation.mirror), orientation);
    const media = await prepare(data);
    expect(await numberIn(media)).toBe(77);
    expect(media).toMatchObject({
      kind: 'image',
      source: { mimeType: 'image/heic', width: 300, height: 150, bytes: data.length },
    });
  });

  it.each([...availableFfmpegs()])('are assembled from their tiles by %s', async (_, ffmpegPath) => {
    const media = await prepare(await makeHeic(picture(), { tile }), { ffmpegPath });
    expect(await numberIn(media)).toBe(77);
    expect(media.source).toMatchObject({ width: 300, height: 150 });
  });

  it('are turned when they are made of tiles', async () => {
    const media = await prepare(await makeHeic(await stored(1, undefined), { tile, turns: 1 }));
    expect(await numberIn(media)).toBe(77);
  });

  it.each([undefined, tile])('show only what is inside their clean aperture, tiles %o', async (tiles) => {
    const framed = sharp(
      await picture()
        .extend({ top: 20, bottom: 30, left: 40, right: 10, background: '#f0f' })
        .png()
        .toBuffer(),
    );
    const crop = { left: 40, top: 20, width: 300, height: 150 };
    const media = await prepare(await makeHeic(framed, { crop, tile: tiles }));
    expect(media.source).toMatchObject({ width: 300, height: 150 });
    expect(await numberIn(media)).toBe(77);
  });

  it.each<HeicOptions>([
    {},
    { colors: { matrix: 'bt709', fullRange: false } },
    { colors: { matrix: 'bt709', fullRange: true } },
    { colors: { matrix: 'bt601', fullRange: true } },
    { colors: { matrix: 'bt2020', fullRange: true } },
  ])('keep the colors of their tags: %o', async (options) => {
    const red = sharp({ create: { width: 64, height: 64, channels: 3, background: '#e02010' } });
    const color = await colorIn(await prepare(await makeHeic(red, options)));
    for (const [i, value] of [0xe0, 0x20, 0x10].entries())
      expect(Math.abs((color[i] ?? 0) - value), `${color}`).toBeLessThanOrEqual(8);
  });

  // What the codes stand for is tested where they are turned into sRGB.
  it.each([
    { screen: 'pq', from: [148, 148, 148], to: [225, 225, 225] },
    { screen: 'hlg', from: [191, 191, 191], to: [225, 225, 225] },
    { screen: 'bt2020', from: [207, 74, 34], to: [255, 0, 0] },
  ] as const)(
    'are shown in the colors of a usual screen when they are for $screen',
    async ({ screen, from, to }) => {
      const [r, g, b] = from;
      const plain = sharp({ create: { width: 64, height: 64, channels: 3, background: { r, g, b } } });
      const data = await makeHeic(plain, { colors: { matrix: 'bt2020', fullRange: true, screen } });
      const color = await colorIn(await prepare(data));
      for (const [i, value] of to.entries())
        expect(Math.abs((color[i] ?? 0) - value), `${color}`).toBeLessThanOrEqual(8);
    },
  );

  it('are brought to sRGB from the wide colors of phones', async () => {
    const wide = sharp({
      create: { width: 64, height: 64, channels: 3, background: '#e02010' },
    }).withIccProfile('p3');
    const { data, info } = await sharp(await wide.png().toBuffer())
      .keepIccProfile()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const { icc } = await sharp(await wide.png().toBuffer()).metadata();
    const numbers = sharp(data, {
      raw: { width: info.width, height: info.height, channels: info.channels as 3 },
    });
    expect([...data.subarray(0, 3)]).not.toEqual([0xe0, 0x20, 0x10]);
    const color = await colorIn(await prepare(await makeHeic(numbers, { profile: icc })));
    for (const [i, value] of [0xe0, 0x20, 0x10].entries())
      expect(Math.abs((color[i] ?? 0) - value), `${color}`).toBeLessThanOrEqual(8);
  });

  it('are read under any brand and name', async () => {
    for (const brand of ['heic', 'heix', 'mif1', 'msf1'])
      expect(await numberIn(await prepare(await makeHeic(picture(), { brand }), {}, 'photo.heif'))).toBe(77);
  });

  it('are refused by name if no decoder reads them', async () => {
    const data = await makeHeic(picture());
    await expect(prepare(data, { ffmpegPath: '/nowhere/ffmpeg' })).rejects.toMatchObject({
      reason: 'unavailable',
    });
    const withoutItems = Buffer.from(data.toString('latin1').replace('meta', 'free'), 'latin1');
    await expect(prepare(withoutItems)).rejects.toMatchObject({
      reason: 'unsupported',
      message: expect.stringMatching(/photo\.heic.*sequence.*JPEG/),
    });
    const otherCodec = Buffer.from(data.toString('latin1').replace('hvc1\0', 'j2k1\0'), 'latin1');
    await expect(prepare(otherCodec)).rejects.toMatchObject({ reason: 'unsupported' });
  });

  it('are refused when they are damaged', async () => {
    const data = await makeHeic(picture(), { tile });
    for (const share of [0.2, 0.5, 0.9])
      await expect(prepare(data.subarray(0, data.length * share))).rejects.toMatchObject({
        reason: 'corrupt',
      });
    const noise = Buffer.from(data).fill(0x55, data.length - 800);
    await expect(prepare(noise)).rejects.toMatchObject({
      reason: 'corrupt',
      message: expect.stringContaining('JPEG'),
    });
  });

  it('are refused before they are decoded when they are too large', async () => {
    const data = await makeHeic(picture());
    await expect(prepare(data, { maxPixels: 300 * 150 - 1 })).rejects.toMatchObject({ reason: 'too-large' });
    const size = data.indexOf('ispe', 0, 'latin1') + 8;
    data.writeUInt32BE(100_000, size);
    data.writeUInt32BE(100_000, size + 4);
    await expect(prepare(data)).rejects.toMatchObject({ reason: 'too-large' });
  });
});

describe.skipIf(!haveTools && !process.env.CI)('HEIC pictures and other programs', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'heif-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  function run(command: string, ...args: string[]): void {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${stderr}`);
  }

  it.each([
    { size: [300, 150], options: [] },
    { size: [301, 151], options: ['-t', '64'] },
    { size: [640, 320], options: ['-p', 'chroma=444', '-b', '10'] },
    { size: [640, 320], options: ['--full_range_flag=0', '--matrix_coefficients=1'] },
  ] as const)('agree on one of libheif: $size, $options', async ({ size, options }) => {
    const [from, to] = [join(directory, 'from.png'), join(directory, 'to.heic')];
    await drawPicture(78, ...size).toFile(from);
    run('heif-enc', '-q', '80', ...options, from, '-o', to);
    const media = await prepare(await readFile(to));
    expect(await numberIn(media)).toBe(78);
    expect(media.source).toMatchObject({ width: size[0], height: size[1] });
  });

  it.each([
    { turns: 1, mirror: 0 },
    { turns: 3, mirror: 1 },
    { turns: 0, mirror: 1 },
  ] as const)('agree on what $turns turns and mirror $mirror mean', async (orientation) => {
    const [from, to] = [join(directory, 'turned.heic'), join(directory, 'turned.png')];
    await writeFile(from, await makeHeic(await stored(orientation.turns, orientation.mirror), orientation));
    run('heif-convert', from, to);
    expect(await readPattern(await readFile(to))).toBe(77);
  });

  it('agree on what tiles make up', async () => {
    const [from, to] = [join(directory, 'tiles.heic'), join(directory, 'tiles.png')];
    await writeFile(from, await makeHeic(picture(), { tile }));
    run('heif-convert', from, to);
    expect(await readPattern(await readFile(to))).toBe(77);
  });
});
