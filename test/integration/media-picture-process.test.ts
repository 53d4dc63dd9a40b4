import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { writeMessage } from '../../src/media/picture-process/messages.js';
import type { StartPictureProcess } from '../../src/media/picture-process/start-picture-process.js';
import { chunk, emptyTiffPage, gifOf, pngOf, tiffOf } from '../support/media-bombs.js';
import { availableFfmpegs, drawPicture, readPattern } from '../support/media-fixtures.js';
import { makeHeic } from '../support/media-heic.js';
import { seededRandom } from '../support/seeded-random.js';

/** Takes seconds: sharp looks through all pages for each that is shown. */
const slowPicture = () => tiffOf(emptyTiffPage(), 9000);

function childrenOf(pid: number | string): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
}

/** The picture processes of a process. */
function pictureProcesses(of: number | string = 'self'): readonly number[] {
  return childrenOf(of)
    .filter((id) => readFileSync(`/proc/${id}/cmdline`, 'utf8').includes('picture-process'))
    .map(Number);
}

/** Those that an ffmpeg works for. */
const decoders = () =>
  pictureProcesses().flatMap((id) =>
    childrenOf(id).filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('ffmpeg')),
  );

afterEach(() => expect(pictureProcesses()).toEqual([]));

const picture = () => drawPicture(3).png().toBuffer();

describe('the process that decodes pictures', () => {
  it('is gone when the caller has left, and another takes its place', async () => {
    await using processor = new DefaultMediaProcessor({ concurrency: 1 });
    await processor.prepare(await picture());
    const [before] = pictureProcesses();
    const leaving = new AbortController();
    const work = processor.prepare(slowPicture(), {
      signal: leaving.signal,
      onProgress: ({ stage }) => {
        if (stage === 'encoding') leaving.abort(new Error('left'));
      },
    });
    await expect(work).rejects.toThrow('left');
    expect(pictureProcesses()).toEqual([]);
    const { parts } = await processor.prepare(await drawPicture(4).png().toBuffer());
    expect(await readPattern(parts[0]?.data ?? new Uint8Array())).toBe(4);
    expect(pictureProcesses()).toHaveLength(1);
    expect(pictureProcesses()).not.toContain(before);
  });

  it.skipIf(availableFfmpegs().size === 0)('starts the ffmpeg of a HEIC, which is gone with it', async () => {
    await using processor = new DefaultMediaProcessor({ concurrency: 1 });
    const leaving = new AbortController();
    const large = await makeHeic(
      sharp({ create: { width: 6000, height: 5000, channels: 3, background: '#123' } }),
    );
    const work = processor.prepare(large, { signal: leaving.signal });
    const outcome = work.then(
      () => 'shown',
      (error: Error) => error.message,
    );
    await vi.waitFor(() => expect(decoders()).toHaveLength(1), { timeout: 10_000, interval: 5 });
    const [decoder] = decoders();
    leaving.abort(new Error('left'));
    expect(await outcome).toBe('left');
    await vi.waitFor(() => expect(isRunning(Number(decoder))).toBe(false));
  });

  it('is gone after close(), at work and idle', async () => {
    const processor = new DefaultMediaProcessor({ concurrency: 2 });
    await Promise.all([
      processor.prepare(await picture()),
      processor.prepare(await drawPicture(4).png().toBuffer()),
    ]);
    const work = processor.prepare(slowPicture()).catch((error: Error) => error.name);
    await vi.waitFor(() => expect(pictureProcesses()).toHaveLength(2));
    await processor.close();
    expect(await work).toBe('ClosedError');
  });

  it('there are as many of as pictures are decoded at once', async () => {
    await using processor = new DefaultMediaProcessor({ concurrency: 2 });
    const numbers = [1, 2, 3, 4, 5, 6];
    const pictures = await Promise.all(numbers.map((n) => drawPicture(n).png().toBuffer()));
    await Promise.all(pictures.map((data) => processor.prepare(data)));
    expect(pictureProcesses()).toHaveLength(2);
  });

  it('leaves the threads of this process to others', async () => {
    await using processor = new DefaultMediaProcessor({ concurrency: 5 });
    let ended = 0;
    const slow = [1, 2, 3, 4, 5].map((n) =>
      processor.prepare(tiffOf({ ...emptyTiffPage(), data: Buffer.from([n]) }, 9000)).finally(() => {
        ended += 1;
      }),
    );
    await vi.waitFor(() => expect(pictureProcesses()).toHaveLength(5));
    await readFile(fileURLToPath(import.meta.url));
    expect(ended).toBe(0);
    const closing = processor.close();
    expect((await Promise.allSettled(slow)).map(({ status }) => status)).not.toContain('fulfilled');
    await closing;
  });

  it('costs its picture alone when it crashes', async () => {
    await using processor = new DefaultMediaProcessor({ concurrency: 1 });
    const work = processor.prepare(
      { data: slowPicture(), name: 'a.tif' },
      {
        onProgress: ({ stage }) => {
          if (stage === 'encoding') for (const id of pictureProcesses()) process.kill(id, 'SIGSEGV');
        },
      },
    );
    await expect(work).rejects.toMatchObject({
      code: 'MEDIA_CORRUPT',
      message: expect.stringContaining('"a.tif" cannot be decoded: the process that decodes pictures ended'),
    });
    expect((await processor.prepare(await picture())).parts).toHaveLength(1);
  });

  it('is replaced when it was killed while it had no work', async () => {
    await using processor = new DefaultMediaProcessor({ concurrency: 1 });
    await processor.prepare(await picture());
    for (const id of pictureProcesses()) process.kill(id, 'SIGKILL');
    await vi.waitFor(() => expect(pictureProcesses()).toEqual([]));
    expect((await processor.prepare(await drawPicture(4).png().toBuffer())).parts).toHaveLength(1);
  });

  it('knows no secret of the environment', async () => {
    vi.stubEnv('GEMINI_API_KEY', 'planted-secret');
    onTestFinished(() => void vi.unstubAllEnvs());
    await using processor = new DefaultMediaProcessor();
    await processor.prepare(await picture());
    const [id] = pictureProcesses();
    expect(readFileSync(`/proc/${id}/environ`, 'utf8')).not.toContain('planted-secret');
  });

  it('does not outlive a process that is killed', async () => {
    const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
    const script = fileURLToPath(new URL('../support/picture-process-owner.ts', import.meta.url));
    const owner: ChildProcess = spawn(process.execPath, ['--import', tsx, script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (owner.stdout) await once(owner.stdout, 'data');
    const children = pictureProcesses(owner.pid);
    expect(children.length).toBeGreaterThan(0);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await expect.poll(() => children.filter(isRunning)).toEqual([]);
  });
});

/** A process that has ended may still be listed until someone asks how. */
function isRunning(id: number): boolean {
  if (!existsSync(`/proc/${id}`)) return false;
  return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${id}/status`, 'utf8'));
}

/** Interlaced, so that all of it is in memory at once: 8 bytes a pixel. */
const interlacedPng = (side: number) => {
  const png = pngOf(side, side);
  const header = png.indexOf('IHDR') + 4;
  png.set([16, 6, 0, 0, 1], header + 8);
  return png;
};

describe('limits of a picture', () => {
  it.each([
    ['a GIF', () => gifOf(300)],
    ['a TIFF', () => tiffOf(emptyTiffPage(), 300)],
    ['a WebP', () => animatedWebp(300)],
  ] as const)('%s with too many frames or pages is refused before it is decoded', async (_, make) => {
    await using processor = new DefaultMediaProcessor({ maxPictureFrames: 299 });
    await expect(processor.prepare(await make())).rejects.toMatchObject({
      code: 'MEDIA_TOO_LARGE',
      message: expect.stringMatching(/more than 299 (frames|pages)\. .*raise maxPictureFrames\./),
    });
  });

  it('ends the process that takes too much memory', async () => {
    await using processor = new DefaultMediaProcessor({ maxPictureMemoryBytes: 160 * 2 ** 20 });
    const work = processor.prepare(withChecksum(interlacedPng(5000)));
    await expect(work).rejects.toMatchObject({
      code: 'MEDIA_TOO_LARGE',
      message: expect.stringMatching(/more than 160 MiB of memory .*raise maxPictureMemoryBytes/),
    });
    expect(pictureProcesses()).toEqual([]);
  });

  it('ends the process that works too long', async () => {
    await using processor = new DefaultMediaProcessor({ maxPictureCpuMs: 300 });
    await expect(processor.prepare(slowPicture())).rejects.toMatchObject({
      code: 'MEDIA_TOO_LARGE',
      message: expect.stringMatching(/more than 0.3 s of processor time .*raise maxPictureCpuMs/),
    });
    expect(pictureProcesses()).toEqual([]);
  });
});

/** With data for the size that the header states, and its checksum. */
function withChecksum(png: Buffer): Buffer {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const header = png.subarray(16, 29);
  const pixels = deflateSync(Buffer.alloc(width * height * 8 + height * 8), { level: 1 });
  return Buffer.concat([
    png.subarray(0, 8),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

async function animatedWebp(frames: number): Promise<Buffer> {
  const pages = Array.from({ length: frames }, (_, n) => ({
    create: { width: 8, height: 8, channels: 3 as const, background: n % 2 ? '#ff0000' : '#0000ff' },
  }));
  const files = await Promise.all(pages.map((page) => sharp(page).png().toBuffer()));
  return sharp(files, { join: { animated: true } })
    .webp({ delay: 40, effort: 0 })
    .toBuffer();
}

/** A processor that starts its processes in another way. */
async function processorThatStarts(start: StartPictureProcess): Promise<DefaultMediaProcessor> {
  onTestFinished(() => void vi.doUnmock('../../src/media/picture-process/start-picture-process.js'));
  vi.resetModules();
  vi.doMock('../../src/media/picture-process/start-picture-process.js', () => ({
    pictureProcessStarts: [start],
  }));
  const { DefaultMediaProcessor: Processor } = await import('../../src/media/default-media-processor.js');
  return new Processor();
}

/** Another program, which goes on after its first words. */
const startOther = (script: string) => () =>
  spawn(process.execPath, ['--eval', `${script}; setInterval(() => 0, 1000); // picture-process`], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });

describe('a process that starts', () => {
  const leaves = async (leave: (processor: DefaultMediaProcessor, caller: AbortController) => unknown) => {
    const processor = await processorThatStarts(startOther(''));
    const caller = new AbortController();
    const work = processor.prepare(await picture(), { signal: caller.signal });
    const outcome = work.then(
      () => 'shown',
      (error: Error) => error.message,
    );
    await vi.waitFor(() => expect(pictureProcesses()).toHaveLength(1));
    await leave(processor, caller);
    return outcome;
  };

  it('is gone when the caller has left', async () => {
    expect(await leaves((_, caller) => caller.abort(new Error('left')))).toBe('left');
  });

  it('is gone after close()', async () => {
    expect(await leaves((processor) => processor.close())).toContain('closed');
  });
});

/** What a process may say on a picture, with one change or two. */
function spoiledReplies(seed: number): Buffer {
  const random = seededRandom(seed);
  const pick = (limit: number) => Math.floor(random() * limit);
  const stream = new PassThrough();
  const part = { mimeType: 'image/jpeg', timestampMs: 5 };
  const source = { mimeType: 'image/png', bytes: 9, width: 3, height: 3 };
  const content = { parts: [part, part], estimatedTokens: 9, source, note: 'A note.' };
  const replies = [
    { type: 'begun' },
    { type: 'sized', pixels: 9 },
    { type: 'progress', done: 0.5 },
    { type: 'done', content, isInput: false, rss: 1e6 },
  ];
  if (pick(4) === 0) replies.splice(pick(4), 1);
  if (pick(4) === 0)
    replies.splice(pick(4), 0, { type: ['ready', 'over', 'failed', 'done', 'x'][pick(5)] ?? '' });
  for (const reply of replies) {
    const payloads = reply.type === 'done' ? [Buffer.alloc(50, 1), Buffer.alloc(pick(60), 2)] : [];
    writeMessage(stream, reply, payloads);
  }
  const said = Buffer.concat([stream.read() as Buffer]);
  for (let left = pick(3); left > 0; left -= 1)
    said[pick(said.length)] = [0, 0xff, 0x31, pick(256)][pick(4)] ?? 0;
  return said.subarray(0, pick(5) ? said.length : pick(said.length));
}

describe('a process that says what it should not', () => {
  it('costs its picture alone, whatever it says', async () => {
    let seed = 0;
    const processor = await processorThatStarts(() => {
      seed += 1;
      const ready = new PassThrough();
      writeMessage(ready, { type: 'ready' });
      const hex = (bytes: Buffer) => JSON.stringify(bytes.toString('hex'));
      return startOther(
        `const say = (hex, done) => process.stdout.write(Buffer.from(hex, 'hex'), done);
        say(${hex(ready.read() as Buffer)});
        process.stdin.once('data', () => say(${hex(spoiledReplies(seed))}, () => process.exit()))`,
      )();
    });
    const outcomes = new Set<string>();
    for (let n = 0; n < 40; n += 1) {
      const data = await drawPicture(n, 64, 32).png().toBuffer();
      outcomes.add(
        await processor.prepare(data).then(
          ({ parts }) => `${parts.length} parts`,
          (error: { name: string; code: string }) => `${error.name} ${error.code}`,
        ),
      );
    }
    await processor.close();
    expect([...outcomes].sort()).toEqual(['2 parts', 'MediaError MEDIA_CORRUPT']);
  }, 120_000);
});

describe('without such a process', () => {
  it.each([
    [
      'its file is missing',
      () => spawn(process.execPath, ['/no/such/file.cjs'], { stdio: ['pipe', 'pipe', 'ignore'] }),
    ],
    ['none may be started', () => spawn('/no/such/program', { stdio: ['pipe', 'pipe', 'ignore'] })],
    ['it is none', () => spawn('echo', ['hello'], { stdio: ['pipe', 'pipe', 'ignore'] })],
    ['it is another program that goes on', startOther('console.log("hello")')],
  ] as readonly (readonly [string, StartPictureProcess])[])(
    'pictures are shown, and a warning says so once: %s',
    async (_, start) => {
      const warnings: (Error & { code?: string })[] = [];
      const onWarning = (warning: Error) => void warnings.push(warning);
      process.on('warning', onWarning);
      onTestFinished(() => void process.off('warning', onWarning));
      await using processor = await processorThatStarts(start);
      for (const number of [5, 6]) {
        const { parts } = await processor.prepare(await drawPicture(number).jpeg().toBuffer());
        expect(await readPattern(parts[0]?.data ?? new Uint8Array())).toBe(number);
      }
      await new Promise((resolve) => setImmediate(resolve));
      expect(warnings.map(({ code }) => code)).toEqual(['MULTIMODAL_CHAT_PICTURE_PROCESS']);
      expect(warnings[0]?.message).toContain('dist/picture-process.cjs');
    },
  );
});
