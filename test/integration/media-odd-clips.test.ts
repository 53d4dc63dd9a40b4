import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { ffmpeg } from '../support/media-fixtures.js';

const oddFile = (name: string) => fileURLToPath(new URL(`../fixtures/odd-files/${name}`, import.meta.url));

let directory: string;
let processor: DefaultMediaProcessor;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'odd-clips-'));
  processor = new DefaultMediaProcessor({ tempDir: directory });
});
afterAll(async () => {
  await processor.close();
  await rm(directory, { recursive: true, force: true });
});

/** An ID3 tag of so many empty bytes. */
function tagOf(bytes: number): Buffer {
  const size = [21, 14, 7, 0].map((shift) => (bytes >> shift) & 0x7f);
  return Buffer.concat([Buffer.from('ID3\x04\0\0'), Buffer.from(size), Buffer.alloc(bytes)]);
}

const tenSeconds = ['-f', 'lavfi', '-i', 'testsrc=s=160x120:r=25:d=10', '-f', 'lavfi', '-i', 'sine=d=10'];

async function timesOf(path: string) {
  const { parts, source } = await processor.prepare(path);
  const times = parts.flatMap(({ timestampMs }) => timestampMs ?? []);
  return { times, seconds: Math.round((source.durationMs ?? 0) / 1000) };
}

/** Eight frames, each in its own eighth of the clip. */
function expectWhole({ times, seconds }: Awaited<ReturnType<typeof timesOf>>, length: number): void {
  expect(seconds).toBe(length);
  expect(times.map((time) => Math.floor((time * 8) / (length * 1000)))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
}

describe('a clip that is made oddly is seen over its whole length', () => {
  it('with frames that share a millisecond and no duration', async () => {
    expectWhole(await timesOf(oddFile('mediarecorder-two-frames-one-ms.webm')), 8);
  });

  it('with frames that change their size', async () => {
    expectWhole(await timesOf(oddFile('size-changes-at-6s.avi')), 12);
  });

  it.each([
    ['mkv', ['-c:v', 'libx264', '-g', '50']],
    ['webm', ['-c:v', 'libvpx', '-g', '50', '-c:a', 'libvorbis']],
    ['ts', ['-c:v', 'libx264', '-g', '50']],
    ['mp4', ['-c:v', 'libx264', '-g', '50']],
  ])('as %s that begins at 14 hours', async (extension, options) => {
    const path = join(directory, `late.${extension}`);
    ffmpeg(...tenSeconds, ...options, '-output_ts_offset', '50400', path);
    expectWhole(await timesOf(path), 10);
  });

  it('with a title like a duration', async () => {
    const path = join(directory, 'title.avi');
    ffmpeg(...tenSeconds, '-c:v', 'mpeg4', '-metadata', 'title=Duration: 00:00:01.00', path);
    expectWhole(await timesOf(path), 10);
  });

  it('in fragments that state 39 hours', async () => {
    const path = join(directory, 'fragments.mp4');
    const fragmented = ['-movflags', 'frag_keyframe+empty_moov', '-c:v', 'libx264', '-g', '25'];
    ffmpeg(...tenSeconds, ...fragmented, path);
    const clip = await readFile(path);
    for (const [box, timescaleAt, durationAt] of [
      ['mvhd', 16, 20],
      ['mdhd', 16, 20],
      ['tkhd', undefined, 24],
    ] as const) {
      for (let at = clip.indexOf(box); at >= 0; at = clip.indexOf(box, at + 1)) {
        const timescale = timescaleAt ? clip.readUInt32BE(at + timescaleAt) : 1000;
        clip.writeUInt32BE(Math.min(39 * 3600 * timescale, 2 ** 32 - 1), at + durationAt);
      }
    }
    await writeFile(path, clip);
    expectWhole(await timesOf(path), 10);
  });
});

describe('a clip that needs more memory than ffmpeg may have', () => {
  it('is refused with the limit, and shows no half of itself', async () => {
    const source = oddFile('h264-of-16-large-references.mp4');
    await expect(processor.prepare(source)).rejects.toMatchObject({
      name: 'MediaError',
      reason: 'too-large',
      message: expect.stringMatching(/^"h264-of-16-large-references\.mp4" needs more than 2 GiB of memory/),
    });
  }, 180_000);
});

describe('a recording', () => {
  it.each(['m4a', 'mka'])('as %s that begins at 14 hours is as long as it sounds', async (extension) => {
    const path = join(directory, `late.${extension}`);
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=10', '-output_ts_offset', '50400', path);
    expect((await timesOf(path)).seconds).toBe(10);
  });

  it.each([
    [
      'MP3 cut within a frame',
      'mp3',
      (sound: Buffer) => sound.subarray(sound.indexOf('\xff\xfb', 2000, 'latin1') + 57),
    ],
    ['MP3 behind zeros', 'mp3', (sound: Buffer) => Buffer.concat([Buffer.alloc(9000), sound.subarray(1500)])],
    ['AAC cut within a frame', 'aac', (sound: Buffer) => sound.subarray(1001)],
    ['AAC behind a tag', 'aac', (sound: Buffer) => Buffer.concat([tagOf(300), sound])],
    ['AAC behind a tag with a large picture', 'aac', (sound: Buffer) => Buffer.concat([tagOf(5e6), sound])],
    ['FLAC behind two tags', 'flac', (sound: Buffer) => Buffer.concat([tagOf(300), tagOf(90_000), sound])],
  ])('is read: %s', async (name, extension, change) => {
    const path = join(directory, `whole.${extension}`);
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=8', path);
    const changed = join(directory, `${name}.${extension}`);
    await writeFile(changed, change(await readFile(path)));
    const { source, parts } = await processor.prepare(changed);
    expect([source.mimeType, parts.length]).toEqual([`audio/${extension}`, 1]);
    expect(Math.round((source.durationMs ?? 0) / 1000)).toBe(8);
  });

  it('is not silent because it is short', async () => {
    const path = join(directory, 'short.wma');
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=0.2', path);
    expect((await processor.prepare(path)).parts).toHaveLength(1);
  });
});
