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
});

describe('a recording', () => {
  it.each(['m4a', 'mka'])('as %s that begins at 14 hours is as long as it sounds', async (extension) => {
    const path = join(directory, `late.${extension}`);
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=10', '-output_ts_offset', '50400', path);
    expect((await timesOf(path)).seconds).toBe(10);
  });

  it('is not silent because it is short', async () => {
    const path = join(directory, 'short.wma');
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=0.2', path);
    expect((await processor.prepare(path)).parts).toHaveLength(1);
  });
});

describe('pages of a PDF', () => {
  const pagesOf = async (data: Buffer) => (await processor.prepare(data)).estimatedTokens;

  it('are not bookmarks', async () => {
    const pdf = await readFile(oddFile('ten-pages-1200-bookmarks.pdf'));
    const [all, one] = [await pagesOf(pdf), await pagesOf(Buffer.from('%PDF-1.4\n%%EOF'))];
    expect(all / one).toBe(10);
  });

  it('are counted in a file that lacks only its last line', async () => {
    const pdf = await readFile(oddFile('ten-pages-1200-bookmarks.pdf'));
    const path = join(directory, 'no-end.pdf');
    await writeFile(path, pdf.toString('latin1').replaceAll('%%EOF', ''), 'latin1');
    expect((await processor.prepare(path)).kind).toBe('document');
  });

  it('are counted among any number of counts', async () => {
    const counts = '<< /Count 3 >>\n'.repeat(200_000);
    expect((await processor.prepare(Buffer.from(`%PDF-1.4\n${counts}\n%%EOF`))).kind).toBe('document');
  });
});
