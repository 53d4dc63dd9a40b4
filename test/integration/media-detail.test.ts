import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefaultMediaProcessor, MultimodalChat, type MultimodalChatOptions } from 'multimodal-chat';
import { type GeminiEmulator, startGeminiEmulator } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeClip } from '../support/media-fixtures.js';

let fixtures: string;
let clip: string;
let emulator: GeminiEmulator;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  fixtures = await mkdtemp(join(tmpdir(), 'detail-'));
  clip = await makeClip({
    path: join(fixtures, 'clip.mp4'),
    seconds: 4,
    width: 1280,
    height: 640,
    audio: true,
  });
});
afterAll(() => rm(fixtures, { recursive: true, force: true }));

beforeEach(async () => {
  emulator = await startGeminiEmulator();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((part) => part.close()));
  await emulator.close();
});

function openChat(options: MultimodalChatOptions): MultimodalChat {
  const chat = new MultimodalChat({ keys: ['a-key-0001'], baseUrl: emulator.url, memory: false, ...options });
  opened.push(chat);
  return chat;
}

const openProcessor = (...options: ConstructorParameters<typeof DefaultMediaProcessor>) => {
  const processor = new DefaultMediaProcessor(...options);
  opened.push(processor);
  return processor;
};

const levels = () =>
  (emulator.journal.at(-1)?.contents ?? []).flatMap(({ parts }) =>
    (parts ?? []).flatMap((part) =>
      part.inlineData?.mimeType?.startsWith('image/') ? [part.mediaResolution?.level] : [],
    ),
  );

/** Red left half, blue right half. */
const twoHalves = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: 'blue' } })
    .composite([
      {
        input: { create: { width: width / 2, height, channels: 3, background: 'red' } },
        left: 0,
        top: 0,
      },
    ])
    .jpeg({ quality: 95 });

async function colorOf(data: Uint8Array): Promise<string> {
  const { dominant } = await sharp(data).stats();
  return dominant.r > dominant.b ? 'red' : 'blue';
}

describe('detail', () => {
  it.each([
    ['low', 'MEDIA_RESOLUTION_LOW', 512],
    ['auto', 'MEDIA_RESOLUTION_HIGH', 768],
    ['high', 'MEDIA_RESOLUTION_ULTRA_HIGH', 1536],
  ] as const)(
    '%s shows a picture in %s and %i pixels, and estimates its tokens',
    async (detail, level, side) => {
      const chat = openChat({ media: { detail } });
      const picture = await twoHalves(2000, 1000).toBuffer();
      const { media, usage } = await chat.send({ prompt: 'p', media: [{ data: picture, name: 'p.jpg' }] });
      expect(levels()).toEqual([level]);
      expect(emulator.journal[0]?.images).toMatchObject([{ width: side, height: side / 2 }]);
      const text = Math.ceil('[p.jpg]'.length / 4) + Math.ceil('p'.length / 4);
      expect(usage?.inputTokens).toBe((media[0]?.estimatedTokens ?? 0) + text);
    },
  );

  it('shows frames less closely than pictures', async () => {
    const chat = openChat({ media: { frames: 2, audio: false } });
    await chat.send({ prompt: 'p', media: [clip] });
    expect(levels()).toEqual(['MEDIA_RESOLUTION_MEDIUM', 'MEDIA_RESOLUTION_MEDIUM']);
  });

  it('sets no resolution of single parts for models that would refuse it', async () => {
    const chat = openChat({ model: 'gemini-2.5-flash', media: { frames: 1, audio: false } });
    await chat.send({ prompt: 'p', media: [clip] });
    expect(levels()).toEqual([undefined]);
  });
});

describe('context.mediaTokens', () => {
  it('is shared by the attachments of a call, and decides how much of each is shown', async () => {
    const chat = openChat({ context: { mediaTokens: 3 * 5 * 280 }, media: { frames: 8 } });
    const { media } = await chat.send({ prompt: 'p', media: [clip, clip, clip] });
    for (const { estimatedTokens, parts } of media) {
      expect(parts.filter(({ mimeType }) => mimeType === 'image/jpeg')).toHaveLength(5);
      expect(estimatedTokens).toBeLessThanOrEqual(5 * 280);
    }
    expect(emulator.journal[0]?.images.every(({ width }) => width === 512)).toBe(true);
  });

  it('does not reuse what was prepared under another budget', async () => {
    const processor = openProcessor({ frames: 6, audio: false });
    const all = await processor.prepare(clip);
    const few = await processor.prepare(clip, { maxTokens: 3 * 280 });
    expect([all, few].map(({ parts }) => parts.length)).toEqual([6, 3]);
  });
});

describe('maxTiles', () => {
  it('shows the parts of a panorama after the whole, each in its place', async () => {
    const chat = openChat({ media: { maxTiles: 4, maxSide: 400 } });
    const data = await twoHalves(1600, 200).toBuffer();
    const { media } = await chat.send({ prompt: 'p', media: [{ data, name: 'wide.jpg' }] });
    const tiles = media[0]?.parts.slice(1) ?? [];
    expect(tiles.map(({ tile }) => tile?.column)).toEqual([1, 2, 3, 4]);
    expect(await Promise.all(tiles.map((part) => colorOf(part.data)))).toEqual([
      'red',
      'red',
      'blue',
      'blue',
    ]);
    expect(emulator.journal[0]?.texts).toContain('[wide.jpg, enlarged: row 1 of 1, column 2 of 4]');
  });

  it('cuts the picture as it is seen, not as it is stored', async () => {
    const processor = openProcessor({ maxTiles: 2, maxSide: 400 });
    // Turned a quarter clockwise to be upright: the red left half becomes the top.
    const data = await twoHalves(800, 200).withMetadata({ orientation: 6 }).toBuffer();
    const { parts } = await processor.prepare({ data, name: 'tall.jpg' });
    const tiles = parts.slice(1);
    expect(tiles.map(({ tile }) => [tile?.row, tile?.column])).toEqual([
      [1, 1],
      [2, 1],
    ]);
    expect(await Promise.all(tiles.map((part) => colorOf(part.data)))).toEqual(['red', 'blue']);
    const { width, height } = await sharp(tiles[0]?.data).metadata();
    expect((height ?? 0) / (width ?? 1)).toBeCloseTo(425 / 200, 1);
  });

  it('keeps the pixels that the overview loses', async () => {
    const stripes = Buffer.alloc(2048 * 256 * 3, 255);
    for (let pixel = 0; pixel < 2048 * 256; pixel += 1) {
      if (pixel % 2 === 0) stripes.fill(0, pixel * 3, pixel * 3 + 3);
    }
    const data = await sharp(stripes, { raw: { width: 2048, height: 256, channels: 3 } })
      .png()
      .toBuffer();
    const { parts } = await openProcessor({ maxTiles: 6, maxSide: 512 }).prepare({ data, name: 's.png' });
    const contrast = async (jpeg: Uint8Array | undefined) =>
      (await sharp(jpeg).grayscale().stats()).channels[0]?.stdev ?? 0;
    expect(await contrast(parts[0]?.data)).toBeLessThan(20);
    expect(parts).toHaveLength(6);
    for (const tile of parts.slice(1)) expect(await contrast(tile.data)).toBeGreaterThan(60);
  });

  it('shows no more of them than the budget allows', async () => {
    const data = await twoHalves(1600, 200).toBuffer();
    const processor = openProcessor({ maxTiles: 4, maxSide: 400 });
    const { parts } = await processor.prepare({ data, name: 'wide.jpg' }, { maxTokens: 3 * 280 });
    expect(parts).toHaveLength(3);
  });
});
