import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { openIndex } from '../../src/media/video/index/index-thread.js';
import { availableFfmpegs, type ClipOptions, makeClip } from '../support/media-fixtures.js';

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: damaged clips. There is no ffmpeg. Run apt install ffmpeg.');

/** What mutants of clips have found, each with as little damage as it takes. */
describe.skipIf(!haveFfmpeg && !process.env.CI)('a clip with a few wrong bytes', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'damaged-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  async function clipOf(file: string, options: Partial<ClipOptions>): Promise<Buffer> {
    const path = join(directory, file);
    await makeClip({ path, seconds: 1, fps: 25, gop: 5, width: 64, height: 32, ...options });
    return readFile(path);
  }

  const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2'];
  const loops = [
    {
      what: 'a Matroska whose list of contents has no size',
      file: 'contents.mkv',
      indexer: 'MATROSKA',
      damage: (clip: Buffer) => clip.writeUInt8(0, clip.indexOf('114d9b74', 0, 'hex') + 4),
      error: /makes no progress/,
    },
    {
      what: 'an MP4 that lists four thousand million frames',
      file: 'order.mp4',
      indexer: 'MP4',
      // The count of the first entry, behind the name, the version, the flags and the number of entries.
      damage: (clip: Buffer) => clip.writeUInt32BE(0xffff_ffff, clip.indexOf('ctts', 0, 'latin1') + 12),
      error: /does not end|memory/,
    },
  ] as const;

  it.each(loops)(
    'does not block other readers of indexes: $what',
    async ({ damage, error, file, indexer }) => {
      const sound = await clipOf(file, { codec: h264 });
      const data = Buffer.from(sound);
      damage(data);
      await expect(openIndex({ indexer, data, path: undefined })).rejects.toThrow(error);
      const index = await openIndex({ indexer, data: sound, path: undefined });
      expect(index.track?.codec).toBe('avc');
      index.close();
    },
  );

  it.each(loops)('is read or refused: $what', async ({ damage, file }) => {
    const data = await clipOf(file, { codec: h264 });
    damage(data);
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const outcome = await processor.prepare({ data, name: file }).then(
      ({ kind }) => kind,
      ({ reason }) => reason,
    );
    expect(['video', 'corrupt']).toContain(outcome);
  });

  it('shows no two frames of one moment when all are said to be shown at once', async () => {
    const data = await clipOf('rate.avi', { codec: ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'] });
    const rate = data.indexOf('strh', 0, 'latin1') + 32;
    data.writeUInt32LE(1, rate - 4);
    data.writeUInt32LE(1_000_000, rate);
    await using processor = new DefaultMediaProcessor({ frames: 2 });
    const { parts } = await processor.prepare({ data, name: 'rate.avi' });
    const times = parts.map(({ timestampMs }) => timestampMs);
    expect(times.length).toBeGreaterThan(0);
    expect(new Set(times).size).toBe(times.length);
  });
});
