import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClosedError } from '../../src/core/errors.js';
import type { MediaProgress } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { isPublicAddress } from '../../src/media/source/remote.js';
import { pngOf } from '../support/media-bombs.js';
import { availableFfmpegs, drawPicture, makeClip } from '../support/media-fixtures.js';

let directory: string;
let tempDir: string;
let processor: DefaultMediaProcessor;
let server: Server;
let origin: string;
const requests: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hostile-'));
  tempDir = join(directory, 'temp');
  processor = new DefaultMediaProcessor({ tempDir, audio: false });
  const picture = await drawPicture(7).png().toBuffer();
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    if (request.url === '/redirect') response.writeHead(302, { location: '/picture.png' }).end();
    else if (request.url === '/loop') response.writeHead(302, { location: '/loop' }).end();
    else if (request.url === '/file') response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    else if (request.url === '/missing') response.writeHead(404).end();
    else if (request.url === '/endless') endless(response);
    else response.end(picture);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  requests.length = 0;
  expect(await readdir(tempDir).catch(() => [])).toEqual([]);
});
afterAll(async () => {
  await processor.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true, force: true });
});

function endless(response: NodeJS.WritableStream): void {
  Readable.from(
    (function* () {
      while (true) yield Buffer.alloc(65_536, 1);
    })(),
  ).pipe(response);
}

async function reasonOf(
  source: Parameters<DefaultMediaProcessor['prepare']>[0],
  by = processor,
): Promise<string> {
  const outcome = await by.prepare(source).then(
    (media) => `read as ${media.source.mimeType}`,
    (error: { name: string; reason: string; message: string }) =>
      error.name === 'MediaError' ? error.reason : String(error),
  );
  return outcome;
}

describe('files that name other files', () => {
  const playlists: Readonly<Record<string, (url: string) => string>> = {
    HLS: (url) => `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n${url}/a.ts\n#EXT-X-ENDLIST\n`,
    DASH: (url) =>
      `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>${url}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>`,
    concat: (url) => `ffconcat version 1.0\nfile '${url}/a.mp4'\nfile '/etc/passwd'\n`,
    SDP: (url) =>
      `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 ${new URL(url).hostname}\r\nm=video ${new URL(url).port} RTP/AVP 96\r\n`,
    SVG: (url) =>
      `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="${url}/a.png"/></svg>`,
    XML: (url) => `<!DOCTYPE svg [<!ENTITY x SYSTEM "${url}/x">]><svg>&x;</svg>`,
  };
  const names = ['clip.mp4', 'clip.avi', 'picture.png', 'list.m3u8'];

  it.each(Object.keys(playlists))('refuses %s under every name, and makes no request', async (kind) => {
    for (const name of names) {
      const path = join(directory, name);
      await writeFile(path, playlists[kind]?.(origin) ?? '');
      expect(['not-allowed', 'unsupported']).toContain(await reasonOf(path));
    }
    expect(requests).toEqual([]);
  });

  it('makes no request for a playlist behind the first bytes of a clip', async () => {
    const heads = [
      '\0\0\0\x18ftypisom\0\0\x02\0isommp41',
      'FLV\x01\x05\0\0\0\x09\0\0\0\0',
      '\x1a\x45\xdf\xa3',
      '\0\0\x01\xba',
      'ID3\x03\0\0\0\0\0\0',
    ];
    for (const head of heads) {
      for (const playlist of [playlists.HLS, playlists.DASH]) {
        expect(
          await reasonOf(Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(playlist?.(origin) ?? '')])),
        ).toBe('corrupt');
      }
    }
    expect(requests).toEqual([]);
  });
});

describe('broken and oversized files', () => {
  it('refuses a JPEG that breaks off', async () => {
    for (const side of [320, 2000]) {
      const jpeg = await drawPicture(1, side, side / 2)
        .jpeg()
        .toBuffer();
      expect(await reasonOf(jpeg.subarray(0, Math.floor(jpeg.length * 0.6)))).toBe('corrupt');
    }
  });

  it.each([
    ['PNG of 30000 by 30000', () => pngOf(30_000, 30_000), 'too-large'],
    ['empty file', () => Buffer.alloc(0), 'empty'],
    ['PNG of nothing', () => Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'corrupt'],
    ['MP4 of nothing', () => Buffer.from('\0\0\0\x18ftypisom\0\0\x02\0isommp41', 'latin1'), 'corrupt'],
  ])('answers %s', async (_, make, reason) => {
    expect(await reasonOf(make())).toBe(reason);
  });

  it('stops an endless stream at the byte limit, and destroys it', async () => {
    const source = Readable.from(
      (function* () {
        while (true) yield Buffer.alloc(65_536, 1);
      })(),
    );
    expect(await reasonOf(source, new DefaultMediaProcessor({ tempDir, maxBytes: 2 ** 20 }))).toBe(
      'too-large',
    );
    expect(source.destroyed).toBe(true);
  });

  it('stops waiting for a stalled stream at the time limit', async () => {
    const silent = new Readable({ read: () => undefined });
    expect(await reasonOf(silent, new DefaultMediaProcessor({ tempDir, timeoutMs: 50 }))).toBe('timeout');
    expect(silent.destroyed).toBe(true);
  });

  it('does not search a damaged Matroska file for ever', async () => {
    const header = Buffer.from('1a45dfa38b4282886d6174726f736b61', 'hex');
    const segment = Buffer.from('1853806701ffffffffffffff', 'hex');
    for (const junkBytes of [8, 9, 1000, 200_000]) {
      expect(await reasonOf(Buffer.concat([header, segment, Buffer.alloc(junkBytes, 0x11)]))).toBe('corrupt');
    }
  });

  it('throws typed errors for any damage to a picture', async () => {
    const originals = [
      await drawPicture(3, 64, 32).jpeg().toBuffer(),
      await drawPicture(3, 64, 32).png().toBuffer(),
      await drawPicture(3, 64, 32).webp().toBuffer(),
      await drawPicture(3, 64, 32).gif().toBuffer(),
    ];
    let seed = 20_261_122;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    for (let mutant = 0; mutant < 300; mutant += 1) {
      const bytes = Buffer.from(originals[mutant % originals.length] ?? Buffer.alloc(0));
      for (let change = 0; change < 8; change += 1) bytes[random(bytes.length)] = random(256);
      const outcome = await reasonOf(bytes.subarray(0, mutant % 3 ? bytes.length : 1 + random(bytes.length)));
      expect(outcome).toMatch(/^(read as|corrupt$|unsupported$|too-large$|not-allowed$)/);
    }
  });
});

describe('paths', () => {
  it.each([
    ['a directory', () => directory, 'not-allowed'],
    ['a device', () => '/dev/zero', 'not-allowed'],
    ['nothing', () => join(directory, 'nothing.png'), 'not-found'],
  ])('refuses %s', async (_, path, reason) => {
    expect(await reasonOf(path())).toBe(reason);
  });

  it('refuses a FIFO without waiting for a writer', async () => {
    const path = join(directory, 'fifo');
    const makeFifo = 'mkfifo';
    execFileSync(makeFifo, [path]);
    expect(await reasonOf(path)).toBe('not-allowed');
  });

  it('reads none where that is turned off', async () => {
    const path = join(directory, 'there.png');
    await writeFile(path, await drawPicture(1).png().toBuffer());
    const withoutPaths = new DefaultMediaProcessor({ tempDir, allowPaths: false });
    expect(await reasonOf(path, withoutPaths)).toBe('not-allowed');
    expect(await reasonOf(new URL(`file://${path}`), withoutPaths)).toBe('not-allowed');
  });
});

describe('remote addresses', () => {
  it('are refused unless allowed, and private ones even then', async () => {
    const url = `${origin}/picture.png`;
    expect(await reasonOf(new URL(url))).toBe('not-allowed');
    expect(await reasonOf(url)).toBe('not-allowed');
    const open = new DefaultMediaProcessor({ tempDir, allowUrls: true });
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433']) {
      expect(await reasonOf(url.replace('127.0.0.1', host), open), host).toBe('not-allowed');
    }
    expect(requests).toEqual([]);
  });

  it('are read when allowed, within the limits', async () => {
    const trusted = new DefaultMediaProcessor({
      tempDir,
      allowUrls: true,
      allowPrivateAddresses: true,
      maxBytes: 2 ** 20,
    });
    expect(await trusted.prepare(`${origin}/redirect`)).toMatchObject({ kind: 'image', name: 'redirect' });
    expect(await reasonOf(`${origin}/loop`, trusted)).toBe('not-allowed');
    expect(await reasonOf(`${origin}/file`, trusted)).toBe('not-allowed');
    expect(await reasonOf(`${origin}/missing`, trusted)).toBe('not-found');
    expect(await reasonOf(`${origin}/endless`, trusted)).toBe('too-large');
    expect(await reasonOf('http://127.0.0.1:1/x.png', trusted)).toBe('not-found');
  });

  it.each([
    ['8.8.8.8', true],
    ['10.1.2.3', false],
    ['100.64.0.1', false],
    ['169.254.169.254', false],
    ['172.31.255.255', false],
    ['172.32.0.1', true],
    ['192.168.0.1', false],
    ['0.0.0.0', false],
    ['255.255.255.255', false],
    ['224.0.0.1', false],
    ['2606:4700::1111', true],
    ['::1', false],
    ['::', false],
    ['fe80::1', false],
    ['fc00::1', false],
    ['::ffff:8.8.8.8', false],
    ['64:ff9b::7f00:1', false],
    ['2002:7f00:1::', false],
    ['2001:db8::1', false],
    ['localhost', false],
  ])('%s is public: %s', (address, expected) => {
    expect(isPublicAddress(address)).toBe(expected);
  });
});

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: aborting clips. There is no ffmpeg. Run apt install ffmpeg.');

describe.skipIf(!haveFfmpeg && !process.env.CI)('stopping', () => {
  /** Command lines of processes that mention our temporary or test directory. */
  async function processesWith(text: string): Promise<readonly string[]> {
    const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
    const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
    return lines.filter((line) => line.includes('ffmpeg') && line.includes(text));
  }
  let clip: string;
  beforeAll(async () => {
    clip = await makeClip({
      path: join(directory, 'slow.avi'),
      seconds: 20,
      fps: 30,
      width: 1280,
      height: 640,
      codec: ['-c:v', 'mpeg4', '-q:v', '5'],
    });
  });

  it('ends ffmpeg at once and leaves no file when aborted, at every stage', async () => {
    const bytes = await readFile(clip);
    for (const stage of ['queued', 'probing', 'decoding'] as const) {
      const controller = new AbortController();
      const reason = new Error(`stopped while ${stage}`);
      const onProgress = (progress: MediaProgress) => progress.stage === stage && controller.abort(reason);
      await expect(processor.prepare(bytes, { signal: controller.signal, onProgress })).rejects.toBe(reason);
      expect(await readdir(tempDir).catch(() => [])).toEqual([]);
      expect(await processesWith(tempDir)).toEqual([]);
    }
  });

  it('ends ffmpeg at the time limit with a sentence', async () => {
    const hurried = new DefaultMediaProcessor({ tempDir, timeoutMs: 150 });
    await expect(hurried.prepare(clip)).rejects.toMatchObject({
      code: 'MEDIA_TIMEOUT',
      message: expect.stringContaining('0.15 s'),
    });
    expect(await processesWith(clip)).toEqual([]);
  });

  it('stops everything when closed, and refuses what comes after', async () => {
    const closing = new DefaultMediaProcessor({ tempDir });
    const decoding = new Promise<void>((resolve) => {
      const work = closing.prepare(clip, { onProgress: ({ stage }) => stage === 'decoding' && resolve() });
      work.catch(() => resolve());
    });
    const waiting = closing.prepare(clip);
    await decoding;
    await Promise.all([closing.close(), expect(waiting).rejects.toSatisfy(ClosedError.isInstance)]);
    expect(await processesWith(clip)).toEqual([]);
    await expect(closing.prepare(clip)).rejects.toMatchObject({
      code: 'CLOSED',
      message: expect.stringContaining('media processor'),
    });
  });

  it('names the ffmpegPath that does not work', async () => {
    const misled = new DefaultMediaProcessor({ tempDir, ffmpegPath: '/nowhere/ffmpeg' });
    await expect(misled.prepare(clip)).rejects.toMatchObject({
      code: 'MEDIA_UNAVAILABLE',
      message: expect.stringContaining('/nowhere/ffmpeg'),
    });
  });

  it('does not make pictures wait for clips', async () => {
    const busy = new DefaultMediaProcessor({ tempDir, concurrency: 1 });
    const done: string[] = [];
    const clips = [1, 2].map(() => busy.prepare(clip).then(() => done.push('clip')));
    await busy.prepare(await drawPicture(1, 1000, 500).png().toBuffer());
    done.push('picture');
    await Promise.all(clips);
    expect(done).toEqual(['picture', 'clip', 'clip']);
  });

  it('removes what a killed process left behind, and nothing of living ones', async () => {
    const probe = new DefaultMediaProcessor({ tempDir: join(directory, 'abandoned') });
    const sleeper = spawn('sleep', ['60']);
    try {
      // The name of a directory of ours, to derive those of others from.
      const seen: string[] = [];
      await probe.prepare(
        { data: await readFile(clip) },
        {
          onProgress: async () => seen.push(...(await readdir(join(directory, 'abandoned')).catch(() => []))),
        },
      );
      const name = seen.find((entry) => entry.includes(`-${process.pid}-`)) ?? '';
      expect(name).not.toBe('');
      const dead = name.replace(`-${process.pid}-`, '-4194305-');
      const living = name.replace(`-${process.pid}-`, `-${sleeper.pid}-`);
      for (const entry of [dead, living, 'unrelated'])
        await mkdir(join(directory, 'abandoned', entry), { recursive: true });
      await new DefaultMediaProcessor({ tempDir: join(directory, 'abandoned') }).prepare(
        await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
          .png()
          .toBuffer(),
      );
      expect((await readdir(join(directory, 'abandoned'))).sort()).toEqual([living, 'unrelated'].sort());
    } finally {
      sleeper.kill();
    }
  });
});
