import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readImageSize } from './image-size.js';

const picture = () => sharp({ create: { width: 37, height: 21, channels: 4, background: '#28405080' } });

describe('readImageSize', () => {
  it.each([
    ['PNG', () => picture().png()],
    ['GIF', () => picture().gif()],
    ['baseline JPEG', () => picture().flatten().jpeg()],
    ['progressive JPEG', () => picture().flatten().jpeg({ progressive: true })],
    ['JPEG with EXIF', () => picture().flatten().withMetadata({ orientation: 6 }).jpeg()],
    ['lossy WebP', () => picture().flatten().webp()],
    ['lossless WebP', () => picture().flatten().webp({ lossless: true })],
    ['WebP with transparency', () => picture().webp()],
  ])('reads a %s', async (_, encode) => {
    expect(readImageSize(await encode().toBuffer())).toEqual({ width: 37, height: 21 });
  });

  it('returns undefined for anything else, short or corrupt input included', async () => {
    expect(readImageSize(Buffer.from('plain text of some length, no picture'))).toBeUndefined();
    const whole = await picture().flatten().jpeg().toBuffer();
    for (let bytes = 0; bytes < 40; bytes++)
      expect(readImageSize(whole.subarray(0, bytes)), `${bytes} bytes`).toBeUndefined();
  });
});
