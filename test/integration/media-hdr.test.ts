import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { availableFfmpegs, ffmpeg } from '../support/media-fixtures.js';

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: clips of bright screens. There is no ffmpeg. Run apt install ffmpeg.');

const red = [0xe0, 0x20, 0x10];
const gray = [0x80, 0x80, 0x80];
const hevc = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:keyint=25'];
const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-profile:v', '2'];

/** Red on the left and gray on the right as bright as on a usual screen, in the colors of another one. */
function makeBright(path: string, transfer: string, codec: readonly string[]): void {
  const plain = (color: readonly number[]) =>
    `color=c=0x${Buffer.from(color).toString('hex')}:s=320x360:r=25:d=1`;
  const filters = [
    'hstack',
    'format=gbrp',
    'setparams=colorspace=gbr:color_primaries=bt709:color_trc=iec61966-2-1:range=pc',
    // In light, paper white being 203 cd/m².
    'zscale=t=linear:npl=203',
    'format=gbrpf32le',
    'zscale=p=bt2020',
    `zscale=t=${transfer}:m=bt2020nc:r=limited:npl=203`,
    'format=yuv420p10le',
  ];
  ffmpeg(
    ...['-f', 'lavfi', '-i', plain(red), '-f', 'lavfi', '-i', plain(gray)],
    ...['-filter_complex', `[0][1]${filters.join(',')}`, ...codec],
    ...['-colorspace', 'bt2020nc', '-color_primaries', 'bt2020', '-color_trc', transfer, path],
  );
}

describe.skipIf(!haveFfmpeg && !process.env.CI)('clips for bright screens and wide colors', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hdr-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  // HLG brightens by the picture as a whole, so that its colors come out a little different.
  const kinds = [
    { file: 'pq.mp4', transfer: 'smpte2084', codec: hevc, tolerance: 16 },
    { file: 'pq.mkv', transfer: 'smpte2084', codec: vp9, tolerance: 16 },
    { file: 'pq.ts', transfer: 'smpte2084', codec: hevc, tolerance: 16 },
    { file: 'hlg.mov', transfer: 'arib-std-b67', codec: [...hevc, '-tag:v', 'hvc1'], tolerance: 24 },
    { file: 'hlg.webm', transfer: 'arib-std-b67', codec: vp9, tolerance: 24 },
    { file: 'wide.mp4', transfer: 'bt2020-10', codec: hevc, tolerance: 24 },
  ] as const;
  const cases = kinds.flatMap((kind) =>
    [...availableFfmpegs()].map(([name, path]) => ({ ...kind, name, path })),
  );

  it.each(cases)('are shown in the colors of a usual one: $file, $name', async ({ file, path, ...kind }) => {
    const clip = join(directory, file);
    if (!existsSync(clip)) makeBright(clip, kind.transfer, kind.codec);
    await using processor = new DefaultMediaProcessor({ frames: 2, ffmpegPath: path });
    const media = await processor.prepare(clip);
    expect(media.parts).toHaveLength(2);
    for (const { data } of media.parts) {
      const { data: pixels, info } = await sharp(data).raw().toBuffer({ resolveWithObject: true });
      const colorAt = (x: number) => {
        const at = (Math.round(info.height / 2) * info.width + Math.round(x * info.width)) * 3;
        return [...pixels.subarray(at, at + 3)];
      };
      for (const [x, expected] of [
        [0.25, red],
        [0.75, gray],
      ] as const)
        for (const [i, value] of expected.entries())
          expect(Math.abs((colorAt(x)[i] ?? 0) - value), `${colorAt(x)}`).toBeLessThanOrEqual(kind.tolerance);
    }
  });
});
