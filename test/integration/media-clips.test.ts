import { createReadStream } from 'node:fs';
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { PreparedMedia } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import {
  availableFfmpegs,
  type ClipOptions,
  ffmpeg,
  makeClip,
  markTurned,
  readPattern,
} from '../support/media-fixtures.js';

const fps = 25;
const frameMs = 1000 / fps;
const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-sc_threshold', '0'];
const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'];
const mp3 = ['-c:a', 'libmp3lame', '-b:a', '64k'];

interface Container {
  readonly file: string;
  readonly mimeType: string;
  readonly codec: string;
  readonly clip: Partial<ClipOptions>;
  /** How far a label may be from the frame, where the container rounds its times. */
  readonly roundingMs?: number;
}

const containers: readonly Container[] = [
  { file: 'h264.mp4', mimeType: 'video/mp4', codec: 'h264', clip: { codec: h264 } },
  {
    file: 'hevc.mp4',
    mimeType: 'video/mp4',
    codec: 'hevc',
    clip: { codec: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none'] },
  },
  {
    file: 'fragmented.mp4',
    mimeType: 'video/mp4',
    codec: 'h264',
    clip: { codec: h264, options: ['-movflags', 'frag_keyframe+empty_moov'] },
  },
  { file: 'h264.mov', mimeType: 'video/quicktime', codec: 'h264', clip: { codec: h264 } },
  {
    file: 'prores.mov',
    mimeType: 'video/quicktime',
    codec: 'prores',
    clip: { codec: ['-c:v', 'prores_ks', '-profile:v', '0'] },
  },
  {
    file: 'mjpeg.mov',
    mimeType: 'video/quicktime',
    codec: 'mjpeg',
    clip: { codec: ['-c:v', 'mjpeg', '-q:v', '4', '-pix_fmt', 'yuvj420p'] },
  },
  { file: 'h264.m4v', mimeType: 'video/mp4', codec: 'h264', clip: { codec: h264, options: ['-f', 'mp4'] } },
  { file: 'h264.3gp', mimeType: 'video/3gpp', codec: 'h264', clip: { codec: h264 } },
  { file: 'h264.mkv', mimeType: 'video/x-matroska', codec: 'h264', clip: { codec: h264 } },
  {
    file: 'mpeg4.mkv',
    mimeType: 'video/x-matroska',
    codec: 'mpeg4',
    clip: { codec: ['-c:v', 'mpeg4', '-q:v', '3'] },
  },
  {
    file: 'vp8.webm',
    mimeType: 'video/webm',
    codec: 'vp8',
    clip: { codec: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8'] },
  },
  { file: 'vp9.webm', mimeType: 'video/webm', codec: 'vp9', clip: { codec: vp9 } },
  {
    file: 'mpeg4.avi',
    mimeType: 'video/x-msvideo',
    codec: 'mpeg4',
    clip: { codec: ['-c:v', 'mpeg4', '-q:v', '3'] },
  },
  {
    file: 'wmv1.wmv',
    mimeType: 'video/x-ms-wmv',
    codec: 'wmv1',
    clip: { codec: ['-c:v', 'wmv1', '-b:v', '1M'] },
    roundingMs: 50,
  },
  {
    file: 'wmv2.wmv',
    mimeType: 'video/x-ms-wmv',
    codec: 'wmv2',
    clip: { codec: ['-c:v', 'wmv2', '-b:v', '1M'] },
    roundingMs: 50,
  },
  { file: 'flv1.flv', mimeType: 'video/x-flv', codec: 'flv1', clip: { codec: ['-c:v', 'flv', '-q:v', '3'] } },
  { file: 'h264.flv', mimeType: 'video/x-flv', codec: 'h264', clip: { codec: h264 } },
  {
    file: 'mpeg2.mpg',
    mimeType: 'video/mpeg',
    codec: 'mpeg2video',
    clip: { codec: ['-c:v', 'mpeg2video', '-q:v', '3'] },
  },
  {
    file: 'mpeg1.mpeg',
    mimeType: 'video/mpeg',
    codec: 'mpeg1video',
    clip: { codec: ['-c:v', 'mpeg1video', '-q:v', '3'], options: ['-f', 'mpeg'] },
  },
  { file: 'h264.ts', mimeType: 'video/mp2t', codec: 'h264', clip: { codec: h264 } },
];

const ffmpegs = [...availableFfmpegs()];

if (ffmpegs.length === 0 && !process.env.CI) {
  console.warn(
    'SKIPPED: clips. There is no ffmpeg. Run apt install ffmpeg, or npm install @ffmpeg-installer/ffmpeg.',
  );
}

describe.skipIf(ffmpegs.length === 0 && !process.env.CI)('clips', () => {
  let directory: string;
  let temp: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'clips-'));
    temp = join(directory, 'temp');
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const pathOf = (file: string) => join(directory, file);
  const framesOf = ({ parts }: PreparedMedia) => parts.filter((part) => part.mimeType === 'image/jpeg');
  const numbersOf = (media: PreparedMedia) =>
    Promise.all(framesOf(media).map((frame) => readPattern(frame.data)));

  it.each(containers)('shows $file over its whole length, each frame with its time', async (container) => {
    const seconds = 8;
    const path = await makeClip({ path: pathOf(container.file), seconds, fps, ...container.clip });
    for (const [, ffmpegPath] of ffmpegs) {
      await using processor = new DefaultMediaProcessor({ frames: 8, ffmpegPath, tempDir: temp });
      const media = await processor.prepare(path);
      expect(media).toMatchObject({ kind: 'video', name: container.file });
      expect(media.source).toMatchObject({
        mimeType: container.mimeType,
        codec: container.codec,
        width: 320,
        height: 160,
      });
      const numbers = await numbersOf(media);
      expect(numbers).toHaveLength(8);
      for (const [slice, frameNumber] of numbers.entries()) {
        const middle = (slice + 0.5) * seconds * 125;
        expect(Math.abs(frameNumber * frameMs - middle), `frame ${slice} of ${numbers}`).toBeLessThanOrEqual(
          250,
        );
        const label = framesOf(media)[slice]?.timestampMs ?? Number.NaN;
        expect(Math.abs(frameNumber * frameMs - label)).toBeLessThanOrEqual(container.roundingMs ?? frameMs);
      }
    }
    expect(await readdir(temp).catch(() => [])).toEqual([]);
  });

  const long: readonly {
    file: string;
    codec: readonly string[];
    gop: number;
    options?: readonly string[];
    exactFrames?: number;
  }[] = [
    { file: 'long.mp4', codec: h264, gop: 250 },
    { file: 'reordered.mp4', codec: ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3'], gop: 50 },
    { file: 'long-fragmented.mp4', codec: h264, gop: 50, options: ['-movflags', 'frag_keyframe+empty_moov'] },
    { file: 'long.mov', codec: h264, gop: 50 },
    { file: 'long.mkv', codec: h264, gop: 50 },
    { file: 'long.webm', codec: vp9, gop: 50 },
    // Its keyframes are of the kind that pictures before them may refer past (open groups).
    {
      file: 'open.mp4',
      codec: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:keyint=50'],
      gop: 50,
    },
    {
      file: 'open-sparse.mp4',
      codec: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:keyint=250'],
      gop: 250,
    },
    {
      file: 'open-sparse.mkv',
      codec: [
        '-c:v',
        'libx265',
        '-preset',
        'ultrafast',
        '-x265-params',
        'log-level=none:keyint=70:bframes=4',
      ],
      gop: 70,
    },
    {
      file: 'open-h264.mp4',
      codec: ['-c:v', 'libx264', '-preset', 'veryfast', '-x264-params', 'open-gop=1:bframes=3:scenecut=0'],
      gop: 250,
    },
    { file: 'long.avi', codec: ['-c:v', 'mpeg4', '-q:v', '3'], gop: 250 },
    { file: 'long.flv', codec: h264, gop: 250 },
    { file: 'long.wmv', codec: ['-c:v', 'wmv2', '-b:v', '1M'], gop: 250 },
    // Such a file has no duration, and ffmpeg's estimate is a little short.
    { file: 'long.mpg', codec: ['-c:v', 'mpeg2video', '-q:v', '3'], gop: 12, exactFrames: 6 },
    { file: 'long.ts', codec: h264, gop: 50 },
    {
      file: 'long-hevc.ts',
      codec: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:keyint=200'],
      gop: 200,
    },
  ];
  it.each(long)(
    'finds the frames of the minute of $file, exact or near',
    async ({ file, codec, gop, options = [], exactFrames = 1.5 }) => {
      const seconds = 60;
      const path = await makeClip({ path: pathOf(file), seconds, fps, codec, gop, options });
      const wanted = Array.from({ length: 8 }, (_, slice) => (slice + 0.5) * (seconds / 8) * fps);
      for (const [, ffmpegPath] of ffmpegs) {
        for (const { accuracy, toleranceFrames } of [
          { accuracy: 'exact', toleranceFrames: exactFrames },
          { accuracy: 'auto', toleranceFrames: (seconds * fps) / 8 / 4 },
        ] as const) {
          await using processor = new DefaultMediaProcessor({
            frames: 8,
            accuracy,
            ffmpegPath,
            tempDir: temp,
          });
          const media = await processor.prepare(path);
          const numbers = await numbersOf(media);
          expect(numbers).toHaveLength(8);
          for (const [slice, frameNumber] of numbers.entries()) {
            const label = (framesOf(media)[slice]?.timestampMs ?? 0) / frameMs;
            expect(Math.abs(frameNumber - label), `label of ${numbers}`).toBeLessThanOrEqual(1.5);
            expect(
              Math.abs(frameNumber - (wanted[slice] ?? 0)),
              `${accuracy} ${numbers}`,
            ).toBeLessThanOrEqual(toleranceFrames);
          }
        }
      }
    },
  );

  it.each([
    { degrees: 0, filters: [] },
    { degrees: 90, filters: ['transpose=cclock'] },
    { degrees: 180, filters: ['hflip', 'vflip'] },
    { degrees: 270, filters: ['transpose=clock'] },
  ] as const)(
    'turns a clip upright that is marked as turned by $degrees degrees',
    async ({ degrees, filters }) => {
      const path = await makeClip({ path: pathOf(`turned-${degrees}.mp4`), seconds: 2, fps, filters });
      await markTurned(path, degrees);
      for (const [, ffmpegPath] of ffmpegs) {
        await using processor = new DefaultMediaProcessor({ frames: 4, ffmpegPath });
        const media = await processor.prepare(path);
        expect(await numbersOf(media)).toHaveLength(4);
        expect(media.source).toMatchObject({ width: 320, height: 160 });
      }
    },
  );

  it.each(['mp4', 'mkv', 'avi', 'mpg'])(
    'shows pixels that are not square in their true proportions in %s',
    async (container) => {
      const codec =
        container === 'mpg'
          ? ['-c:v', 'mpeg2video', '-q:v', '3']
          : container === 'avi'
            ? ['-c:v', 'mpeg4', '-q:v', '3']
            : h264;
      const path = await makeClip({
        path: pathOf(`anamorphic.${container}`),
        seconds: 2,
        fps,
        width: 160,
        height: 180,
        codec,
        filters: ['setdar=16/9'],
      });
      for (const [, ffmpegPath] of ffmpegs) {
        await using processor = new DefaultMediaProcessor({ frames: 2, ffmpegPath });
        const media = await processor.prepare(path);
        const { width = 0, height = 1 } = await sharp(framesOf(media)[0]?.data).metadata();
        expect(width / height).toBeCloseTo(16 / 9, 1);
        expect(media.source).toMatchObject({ width: 320, height: 180 });
      }
    },
  );

  const tagged = ['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'];
  it.each([
    { file: 'tagged.mp4', size: [1280, 720], shown: [768, 432], tags: tagged },
    { file: 'untagged.mp4', size: [1280, 720], shown: [768, 432], tags: [] },
    { file: 'untagged.avi', size: [1280, 720], shown: [768, 432], tags: [] },
    { file: 'full-range.mp4', size: [1280, 720], shown: [768, 432], tags: tagged, range: 'pc' },
    { file: 'rgb.mkv', size: [1280, 720], shown: [768, 432], tags: [], range: 'pc', encoder: 'libx264rgb' },
    { file: 'odd-height.mp4', size: [1280, 722], shown: [768, 433], tags: tagged },
    { file: 'odd-height.avi', size: [1280, 722], shown: [768, 433], tags: [] },
    { file: 'odd-width.mkv', size: [722, 1280], shown: [433, 768], tags: [] },
  ])(
    'keeps the red of a BT.709 clip ($file)',
    async ({ file, size, shown, tags, range = 'tv', encoder = 'libx264' }) => {
      const path = pathOf(file);
      const format = encoder === 'libx264rgb' ? 'rgb24' : range === 'pc' ? 'yuvj420p' : 'yuv420p';
      ffmpeg(
        ...['-f', 'lavfi', '-i', `color=c=0xDC2828:s=${size.join('x')}:d=1:r=10,format=gbrp`],
        ...['-vf', `scale=out_color_matrix=bt709:out_range=${range},format=${format}`],
        ...['-c:v', encoder, '-color_range', range, ...tags, path],
      );
      for (const [, ffmpegPath] of ffmpegs) {
        await using processor = new DefaultMediaProcessor({ frames: 1, ffmpegPath });
        const picture = sharp(framesOf(await processor.prepare(path))[0]?.data);
        const { width, height } = await picture.metadata();
        expect([width, height]).toEqual(shown);
        const { channels } = await picture.stats();
        for (const [i, expected] of [0xdc, 0x28, 0x28].entries()) {
          expect(Math.abs((channels[i]?.mean ?? 0) - expected)).toBeLessThanOrEqual(8);
        }
      }
    },
  );

  it('shows a still screen whose frames some decoders leave out', async () => {
    const path = pathOf('still-animation.mov');
    ffmpeg('-f', 'lavfi', '-i', 'color=c=0xDC2828:s=320x180:d=2:r=10,format=rgb24', '-c:v', 'qtrle', path);
    for (const [, ffmpegPath] of ffmpegs) {
      await using processor = new DefaultMediaProcessor({ frames: 2, ffmpegPath });
      const frames = framesOf(await processor.prepare(path));
      expect(frames.length).toBeGreaterThan(0);
      const { channels } = await sharp(frames[0]?.data).stats();
      expect(channels[0]?.mean).toBeGreaterThan(0xdc - 8);
    }
  });

  it('gives every frame of a clip that has fewer than asked for', async () => {
    const path = await makeClip({ path: pathOf('short.mp4'), seconds: 0.2, fps });
    await using processor = new DefaultMediaProcessor({ frames: 8 });
    expect(await numbersOf(await processor.prepare(path))).toEqual([0, 1, 2, 3, 4]);
  });

  it('shows a clip of one frame', async () => {
    const path = await makeClip({ path: pathOf('one.mp4'), seconds: 0.04, fps });
    await using processor = new DefaultMediaProcessor({ frames: 8 });
    expect(await numbersOf(await processor.prepare(path))).toEqual([0]);
  });

  it('gives as many frames as asked for when they are spread unevenly', async () => {
    const path = pathOf('uneven.mp4');
    const even = await makeClip({ path: pathOf('even.mp4'), seconds: 10, fps });
    // Twenty frames in the first 0.8 seconds, then one more after nine seconds. Without reordered frames,
    // because the muxer of 2018 takes the length from the order of decoding and so cuts off the last.
    ffmpeg('-i', even, '-vf', "select='lt(n,20)+eq(n,245)'", '-vsync', 'vfr', ...h264, '-bf', '0', path);
    await using processor = new DefaultMediaProcessor({ frames: 8 });
    const numbers = await numbersOf(await processor.prepare(path));
    expect(numbers).toHaveLength(8);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.at(-1)).toBe(245);
  });

  it.each([
    { file: 'part.mp4', codec: h264, accuracy: 'auto' },
    { file: 'part-exact.mkv', codec: h264, accuracy: 'exact' },
    { file: 'part.avi', codec: ['-c:v', 'mpeg4', '-q:v', '3'], accuracy: 'auto' },
  ] as const)(
    'shows and sounds only the part of $file that is asked for',
    async ({ file, codec, accuracy }) => {
      const path = await makeClip({ path: pathOf(file), seconds: 60, fps, gop: 10, codec, audio: true });
      await using processor = new DefaultMediaProcessor({ frames: 4, accuracy });
      const media = await processor.prepare({ data: path, startMs: 20_000, endMs: 28_000 });
      const numbers = await numbersOf(media);
      expect(numbers).toHaveLength(4);
      for (const [slice, frameNumber] of numbers.entries()) {
        const middle = 20_000 + (slice + 0.5) * 2000;
        expect(Math.abs(frameNumber * frameMs - middle), `${numbers}`).toBeLessThanOrEqual(500);
        const label = framesOf(media)[slice]?.timestampMs ?? Number.NaN;
        expect(Math.abs(frameNumber * frameMs - label)).toBeLessThanOrEqual(1.5 * frameMs);
      }
      expect(media.source.durationMs).toBeGreaterThan(59_000);
      expect(Math.abs(media.estimatedTokens - (4 * 560 + 8 * 32))).toBeLessThanOrEqual(10);
      // Another part of the same clip is not taken from the cache.
      const end = await processor.prepare({ data: path, startMs: 50_000 });
      expect(Math.min(...(await numbersOf(end)))).toBeGreaterThan(50 * fps);
      await expect(processor.prepare({ data: path, startMs: 70_000 })).rejects.toMatchObject({
        reason: 'empty',
      });
      await expect(processor.prepare({ data: path, startMs: 2, endMs: 1 })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      });
    },
  );

  it.each([
    { age: 'settled', laterMs: 10_000 },
    { age: 'just written', laterMs: 0 },
  ])('identifies a file that is too large for memory ($age)', async ({ age, laterMs }) => {
    const path = await makeClip({ path: pathOf(`large ${age}.mp4`), seconds: 2, fps });
    const padding = Buffer.alloc(33 * 2 ** 20);
    padding.writeUInt32BE(padding.length, 0);
    padding.write('free', 4, 'latin1');
    await appendFile(path, padding);
    const now = Date.now;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + laterMs);
    try {
      await using processor = new DefaultMediaProcessor({ frames: 2 });
      const first = await processor.prepare(path);
      expect((await processor.prepare(path)).parts).toBe(first.parts);
      const copied = await processor.prepare(createReadStream(path));
      expect(copied.fingerprint).toBe(first.fingerprint);
      await appendFile(path, padding);
      const longer = await processor.prepare(path);
      expect(longer.parts).not.toBe(first.parts);
      expect(longer.fingerprint).not.toBe(first.fingerprint);
      const aborted = processor.prepare(path, { signal: AbortSignal.abort('enough') });
      await expect(aborted).rejects.toBe('enough');
    } finally {
      clock.mockRestore();
    }
  });

  it('shows the readable part of a clip that was cut off, with a note', async () => {
    const whole = await makeClip({
      path: pathOf('whole.mp4'),
      seconds: 40,
      fps,
      options: ['-movflags', '+faststart'],
    });
    const path = pathOf('cut.mp4');
    const bytes = await readFile(whole);
    await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * 0.6)));
    await using processor = new DefaultMediaProcessor({ frames: 8 });
    const media = await processor.prepare(path);
    const numbers = await numbersOf(media);
    expect(numbers).toHaveLength(8);
    expect(numbers.at(-1)).toBeGreaterThan(400);
    expect(media.note).toMatch(/Pictures could only be read for the first \d+ s of 40 s/);
  });

  it('sends the sound after the frames, and no silence', async () => {
    const path = await makeClip({ path: pathOf('sound.mp4'), seconds: 4, fps, audio: true });
    const silent = pathOf('silent.mp4');
    ffmpeg('-i', path, '-c:v', 'copy', '-af', 'volume=0', silent);
    for (const [, ffmpegPath] of ffmpegs) {
      await using processor = new DefaultMediaProcessor({ frames: 2, ffmpegPath });
      const types = ({ parts }: PreparedMedia) => parts.map((part) => part.mimeType);
      const media = await processor.prepare(path);
      expect(types(media)).toEqual(['image/jpeg', 'image/jpeg', 'audio/mp3']);
      expect(media.estimatedTokens).toBe(2 * 560 + 4 * 32);
      expect(types(await processor.prepare(silent))).toEqual(['image/jpeg', 'image/jpeg']);
    }
    await using mute = new DefaultMediaProcessor({ frames: 2, audio: false });
    expect((await mute.prepare(path)).parts).toHaveLength(2);
  });

  it.each([
    { file: 'tone.mp3', options: mp3, sent: 'audio/mp3' },
    { file: 'tone.wav', options: [], sent: 'audio/wav' },
    { file: 'tone.flac', options: [], sent: 'audio/flac' },
    { file: 'tone.ogg', options: ['-c:a', 'libvorbis'], sent: 'audio/ogg' },
    { file: 'tone.aac', options: ['-c:a', 'aac'], sent: 'audio/aac' },
    { file: 'tone.m4a', options: ['-c:a', 'aac'], sent: 'audio/mp3' },
    { file: 'tone.wma', options: ['-c:a', 'wmav2'], sent: 'audio/mp3' },
  ])('sends $file as $sent', async ({ file, options, sent }) => {
    const path = pathOf(file);
    ffmpeg('-f', 'lavfi', '-i', 'sine=frequency=440:duration=3', ...options, path);
    await using processor = new DefaultMediaProcessor();
    const media = await processor.prepare(path);
    expect(media.kind).toBe('audio');
    expect(media.parts.map((part) => part.mimeType)).toEqual([sent]);
    expect(media.source.durationMs).toBeGreaterThan(2800);
    expect(media.source.durationMs).toBeLessThan(3300);
    expect(Math.abs(media.estimatedTokens - 96)).toBeLessThanOrEqual(10);
  });

  it('sends only the requested part of a recording', async () => {
    const path = pathOf('recording.mp3');
    ffmpeg('-f', 'lavfi', '-i', 'sine=frequency=440:duration=20', ...mp3, path);
    await using processor = new DefaultMediaProcessor();
    const media = await processor.prepare({ data: path, startMs: 15_000 });
    expect(Math.abs(media.estimatedTokens - 5 * 32)).toBeLessThanOrEqual(5);
    expect(media.source.durationMs).toBeGreaterThan(19_000);
  });
});
