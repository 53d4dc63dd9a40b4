import { beforeAll, describe, expect, it } from 'vitest';
import { MultimodalChat } from '../../src/index.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { FakeChatModel } from '../../src/testing.js';
import { gifOf, pngOf, tiffOf } from '../support/media-bombs.js';
import { availableFfmpegs, drawPicture, makeBitmap } from '../support/media-fixtures.js';
import { makeHeic } from '../support/media-heic.js';

const million = 1e6;
/** Pictures whose header says 1000 x 1000 and that hold nothing more: decoding one finds it corrupt. */
const headerOnly = () => pngOf(1000, 1000).subarray(0, 45);
const haveFfmpeg = availableFfmpegs().size > 0;

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'shown',
    (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
  );

describe('the pictures of one request', () => {
  it('are refused before they are decoded when they are too many pixels together', async () => {
    await using processor = new DefaultMediaProcessor({ maxRequestPixels: 2.5 * million });
    const request = {};
    for (const shade of [0, 1]) {
      const data = await drawPicture(shade, 1000, 1000).png().toBuffer();
      expect(await outcome(processor.prepare({ data, name: `${shade}.png` }, { request }))).toBe('shown');
    }
    expect(await outcome(processor.prepare({ data: headerOnly(), name: 'third.png' }, { request }))).toBe(
      'MEDIA_TOO_LARGE: "third.png" has 1 million pixels, and 0.5 of the 2.5 million are left that the pictures of one request may have together. Send fewer pictures or smaller ones at a time, or raise maxRequestPixels.',
    );
    // Another request, and one that stands alone.
    const corrupt = expect.stringMatching(/^MEDIA_CORRUPT: "third.png"/);
    for (const other of [{}, undefined])
      expect(
        await outcome(processor.prepare({ data: headerOnly(), name: 'third.png' }, { request: other })),
      ).toEqual(corrupt);
  });

  it('count as none when they are known', async () => {
    await using processor = new DefaultMediaProcessor({ maxRequestPixels: 1.5 * million });
    const data = await drawPicture(1, 1000, 1000).png().toBuffer();
    const request = {};
    for (const _ of [1, 2, 3])
      expect(await outcome(processor.prepare({ data, name: 'same.png' }, { request }))).toBe('shown');
  });

  it('are not refused for what another request holds beside the same picture', async () => {
    await using processor = new DefaultMediaProcessor({ maxRequestPixels: 1.5 * million, concurrency: 1 });
    const [first, shared] = await Promise.all(
      [1, 2].map((number) => drawPicture(number, 1000, 1000).png().toBuffer()),
    );
    const full = {};
    const outcomes = await Promise.all([
      outcome(processor.prepare({ data: first ?? '', name: 'first.png' }, { request: full })),
      outcome(processor.prepare({ data: shared ?? '', name: 'shared.png' }, { request: full })),
      outcome(processor.prepare({ data: shared ?? '', name: 'shared.png' }, { request: {} })),
    ]);
    expect(outcomes).toEqual(['shown', expect.stringContaining('maxRequestPixels'), 'shown']);
  });

  describe('of every kind', () => {
    const kinds: Record<string, () => Promise<Buffer> | Buffer> = {
      'a.gif': () => gifOf(10, 400),
      'a.tif': () => tiffOf({ width: 500, height: 400, data: Buffer.alloc(200_000) }, 6),
      'a.avif': () => drawPicture(1, 1200, 900).avif({ effort: 0 }).toBuffer(),
      'a.bmp': () => makeBitmap({ width: 1200, height: 900, bits: 24, colorAt: () => 0 }),
      ...(haveFfmpeg && { 'a.heic': () => makeHeic(drawPicture(1, 1200, 900)) }),
    };
    const files: Record<string, Buffer> = {};
    beforeAll(async () => {
      for (const [name, make] of Object.entries(kinds)) files[name] = await make();
    });

    it.each(Object.keys(kinds))('are counted: %s', async (name) => {
      const data = files[name] ?? '';
      await using tight = new DefaultMediaProcessor({ maxRequestPixels: million });
      expect(await outcome(tight.prepare({ data, name }))).toContain(`TOO_LARGE: "${name}" has 1.`);
      await using wide = new DefaultMediaProcessor({ maxRequestPixels: 2 * million });
      expect(await outcome(wide.prepare({ data, name }))).toBe('shown');
    });
  });

  it('are those of one question', async () => {
    const chat = new MultimodalChat({
      model: new FakeChatModel(),
      memory: false,
      media: new DefaultMediaProcessor({ maxRequestPixels: 2.5 * million }),
    });
    const pictures = await Promise.all(
      [1, 2, 3].map(async (number) => ({
        name: `${number}.png`,
        data: await drawPicture(number, 1000, 1000).png().toBuffer(),
      })),
    );
    const ask = (media: typeof pictures) => outcome(chat.send({ prompt: 'What are they?', media }));
    try {
      expect(await ask(pictures)).toContain('raise maxRequestPixels');
      expect(await ask(pictures.slice(0, 2))).toBe('shown');
    } finally {
      await chat.close();
    }
  });
});
