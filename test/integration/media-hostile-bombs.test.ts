import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import {
  box,
  deflatedTiffPage,
  emptyTiffPage,
  fileType,
  gifOf,
  nestedBoxes,
  patchBoxes,
  pngOf,
  tiffOf,
  unpackedText,
  webpOf,
} from '../support/media-bombs.js';
import { availableFfmpegs, drawPicture, ffmpeg, makeClip } from '../support/media-fixtures.js';

let directory: string;
let tempDir: string;
let processor: DefaultMediaProcessor;
let server: Server;
let origin: string;
const requests: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bombs-'));
  tempDir = join(directory, 'temp');
  processor = new DefaultMediaProcessor({ tempDir, frames: 4 });
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  expect(await readdir(tempDir).catch(() => [])).toEqual([]);
  expect(ffmpegsRunning()).toEqual([]);
  expect(requests).toEqual([]);
});
afterAll(async () => {
  await processor.close();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true, force: true });
});

function ffmpegsRunning(): readonly string[] {
  return readdirSync('/proc/self/task')
    .flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean))
    .map((id) => readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' '))
    .filter((line) => line.includes('ffmpeg'));
}

type Source = Parameters<DefaultMediaProcessor['prepare']>[0];

async function outcomeOf(source: Source, by = processor): Promise<string> {
  return by.prepare(source).then(
    ({ source: { mimeType }, parts }) => `${mimeType} in ${parts.length}`,
    (error: { name: string; reason: string }) => (error.name === 'MediaError' ? error.reason : String(error)),
  );
}

const emptyPng = () => drawPicture(1).png().toBuffer();

describe('pictures that are larger than they look', () => {
  it.each<[string, () => Buffer, RegExp]>([
    ['PNG at the limit of 100 million pixels', () => pngOf(10_000, 10_000), /^image\/png in 1$/],
    ['PNG over it', () => pngOf(10_001, 10_000), /^too-large$/],
    ['PNG of 2147483647 by 2147483647', () => pngOf(2 ** 31 - 1, 2 ** 31 - 1), /^(too-large|corrupt)$/],
    [
      'PNG with a comment of 64 MB',
      () => pngOf(8, 8, [['zTXt', unpackedText()]]),
      /^(image\/png in 1|corrupt)$/,
    ],
    [
      'PNG with a profile of 64 MB',
      () => pngOf(8, 8, [['iCCP', unpackedText()]]),
      /^(image\/png in 1|corrupt)$/,
    ],
    ['WebP of 16384 by 16384', () => webpOf(16_384, 16_384), /^(too-large|corrupt)$/],
    ['GIF of 65535 by 65535', () => gifOf(2, 65_535), /^(too-large|corrupt)$/],
    ['GIF of 100000 frames', () => gifOf(100_000), /^(image\/gif in 4|too-large)$/],
    ['TIFF of 20000 pages', () => tiffOf(emptyTiffPage(), 20_000), /^(image\/tiff in 4|too-large|corrupt)$/],
    [
      'TIFF whose pages go round in a circle',
      () => tiffOf(emptyTiffPage(), 3, true),
      /^(image\/tiff in [34]|corrupt)$/,
    ],
    [
      'TIFF of 4294967295 by 4294967295',
      () => tiffOf({ ...emptyTiffPage(), width: 2 ** 32 - 1, height: 2 ** 32 - 1 }),
      /^(too-large|corrupt)$/,
    ],
    [
      'TIFF strip of 4 GB',
      () => tiffOf({ ...emptyTiffPage(), stripBytes: 2 ** 32 - 1 }),
      /^(image\/tiff in 1|corrupt)$/,
    ],
    ['deflated TIFF over the limit', () => tiffOf(deflatedTiffPage(11_000)), /^too-large$/],
    [
      'TIFF of 50 deflated pages at the limit',
      () => tiffOf(deflatedTiffPage(10_000), 50),
      /^(image\/tiff in 4|too-large)$/,
    ],
  ])('answers a %s', async (_, make, expected) => {
    expect(await outcomeOf(make())).toMatch(expected);
  });
});

const absurdAvi = () => {
  const header = Buffer.alloc(56, 0xff);
  const list = (type: string, body: Buffer) => {
    const out = Buffer.alloc(12);
    out.write('LIST', 0, 'latin1');
    out.writeUInt32LE(body.length + 4, 4);
    out.write(type, 8, 'latin1');
    return Buffer.concat([out, body]);
  };
  const piece = (type: string, body: Buffer) => {
    const out = Buffer.alloc(8);
    out.write(type, 0, 'latin1');
    out.writeUInt32LE(body.length, 4);
    return Buffer.concat([out, body]);
  };
  const stream = Buffer.alloc(56, 0xff);
  stream.write('vidsMJPG', 0, 'latin1');
  const format = Buffer.alloc(40, 0x7f);
  const headers = [
    piece('avih', header),
    list('strl', Buffer.concat([piece('strh', stream), piece('strf', format)])),
  ];
  const body = Buffer.concat([list('hdrl', Buffer.concat(headers)), list('movi', Buffer.alloc(64))]);
  return Buffer.concat([Buffer.from('RIFF\xff\xff\xff\xffAVI ', 'latin1'), body]);
};

const wavOf = (rate: number, channels: number, dataBytes: number) => {
  const out = Buffer.alloc(1044);
  out.write('RIFF\xff\xff\xff\xffWAVEfmt ', 0, 'latin1');
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(channels, 22);
  out.writeUInt32LE(rate, 24);
  out.writeUInt32LE(rate, 28);
  out.writeUInt16LE(2, 32);
  out.writeUInt16LE(16, 34);
  out.write('data', 36, 'latin1');
  out.writeUInt32LE(dataBytes, 40);
  return out;
};

const hugeBox = (type: string) => Buffer.from(`\0\0\0\x01${type}\x7f\xff\xff\xff\xff\xff\xff\xff`, 'latin1');
const ebml = Buffer.from('1a45dfa38b4282886d6174726f736b61', 'hex');
const unknown = '01ffffffffffffff';

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: absurd clips. There is no ffmpeg. Run apt install ffmpeg.');

describe.skipIf(!haveFfmpeg && !process.env.CI)('clips and recordings with absurd headers', () => {
  it.each<[string, () => Buffer]>([
    ['moov of nine exabytes', () => Buffer.concat([fileType(), hugeBox('moov'), Buffer.alloc(64)])],
    ['mdat of nine exabytes', () => Buffer.concat([fileType(), hugeBox('mdat'), Buffer.alloc(64)])],
    ['moov of 4 GB', () => Buffer.concat([fileType(), Buffer.from('\xff\xff\xff\xffmoov', 'latin1')])],
    ['boxes nested 20000 deep', () => nestedBoxes(20_000)],
    [
      '100000 empty boxes',
      () => Buffer.concat([fileType(), ...new Array<Buffer>(100_000).fill(box('free'))]),
    ],
    [
      'Matroska of unknown sizes',
      () =>
        Buffer.concat([
          ebml,
          Buffer.from(`18538067${unknown}1f43b675${unknown}a0${unknown}`.repeat(50), 'hex'),
        ]),
    ],
    [
      'Matroska elements of 2^56 bytes',
      () => Buffer.concat([ebml, Buffer.from('1853806701fffffffffffffe1654ae6b01fffffffffffffe', 'hex')]),
    ],
    ['AVI of 4294967295 frames', absurdAvi],
    [
      'MP3 tag of 256 MB',
      () => Buffer.concat([Buffer.from('ID3\x03\0\0\x7f\x7f\x7f\x7f', 'latin1'), Buffer.alloc(2000)]),
    ],
  ])('refuses %s', async (_, make) => {
    expect(await outcomeOf(make())).toMatch(/^(corrupt|too-large)$/);
  });

  it.each([
    ['a rate of 4294967295 Hz', 2 ** 32 - 1, 1, 1000],
    ['a rate of zero', 0, 1, 1000],
    ['65535 channels', 16_000, 65_535, 1000],
    ['4 GB of sound', 16_000, 1, 2 ** 32 - 1],
  ])('answers a WAV with %s', async (_, rate, channels, dataBytes) => {
    expect(await outcomeOf(wavOf(rate, channels, dataBytes))).toMatch(
      /^(corrupt|too-large|audio\/wav in 1)$/,
    );
  });

  it('refuses tables of samples that would fill the memory, and keeps answering others meanwhile', async () => {
    const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2'];
    const plain = await readFile(
      await makeClip({ path: join(directory, 'plain.mp4'), seconds: 1, codec: h264 }),
    );
    const path = join(directory, 'fragmented.mp4');
    ffmpeg('-i', join(directory, 'plain.mp4'), '-c', 'copy', '-movflags', 'frag_keyframe+empty_moov', path);
    const fragmented = await readFile(path);
    const bombs = [
      patchBoxes(plain, 'stts', { 8: 2 ** 32 - 1 }),
      patchBoxes(plain, 'stsz', { 4: 1, 8: 2 ** 32 - 1 }),
      // No field for each sample, so that no end of the box stops the reader.
      patchBoxes(fragmented, 'trun', { 0: 1, 4: 2 ** 32 - 1 }),
    ];
    const order: string[] = [];
    const clips = bombs.map(async (bomb) => {
      expect(await outcomeOf(bomb)).toMatch(/^(corrupt|video\/mp4 in \d+)$/);
      order.push('clip');
    });
    await processor.prepare(await emptyPng());
    order.push('picture');
    await Promise.all(clips);
    expect(order[0]).toBe('picture');
    // What was broken off for one clip is there again for the next.
    expect(await outcomeOf(plain)).toBe('video/mp4 in 4');
  }, 90_000);
});

describe('files that are two things at once', () => {
  it.each<[string, () => Promise<Buffer> | Buffer, string]>([
    [
      'a PDF with a ZIP behind it',
      () => Buffer.from('%PDF-1.4\n1 0 obj<</Type/Page>>\n%%EOF\nPK\x03\x04', 'latin1'),
      'application/pdf in 1',
    ],
    ['a GIF that is a script', () => Buffer.from(`GIF89a/*\0\0*/=1;fetch("${origin}")`, 'latin1'), 'corrupt'],
    [
      'an MP4 that is a page',
      () =>
        Buffer.concat([
          fileType(),
          Buffer.from(`<html><img src="${origin}/x.png"><script src="${origin}/x.js"></script>`),
        ]),
      'corrupt',
    ],
    [
      'a PNG with an MP4 behind it',
      async () => Buffer.concat([await emptyPng(), nestedBoxes(3)]),
      'image/png in 1',
    ],
    [
      'a PNG with a page behind it',
      async () => Buffer.concat([await emptyPng(), Buffer.from(`<img src="${origin}">`)]),
      'image/png in 1',
    ],
    ['a ZIP', () => Buffer.from('PK\x03\x04\x14\0\0\0\x08\0', 'latin1'), 'unsupported'],
    ['a page', () => Buffer.from(`<!DOCTYPE html><html><img src="${origin}/x.png"></html>`), 'unsupported'],
  ])('reads %s as the first alone', async (_, make, expected) => {
    expect(await outcomeOf(await make())).toBe(expected);
  });
});

describe('streams without an end', () => {
  const starts = { zeros: '', GIF: 'GIF89a', MP4: '\0\0\0\x18ftypisom', PDF: '%PDF-1.4', text: 'Hello' };

  it.each(Object.entries(starts))('stops one that begins as %s at the byte limit', async (_, start) => {
    const small = new DefaultMediaProcessor({ tempDir, maxBytes: 2 ** 20 });
    let given = 0;
    let closed = false;
    async function* endless() {
      try {
        yield Buffer.from(start, 'latin1');
        for (;;) {
          given += 65_536;
          yield Buffer.alloc(65_536);
        }
      } finally {
        closed = true;
      }
    }
    expect(await outcomeOf(Readable.from(endless()), small)).toBe('too-large');
    expect(closed).toBe(true);
    expect(given).toBeLessThan(2 ** 21);
  });

  it('cancels a Web stream at the byte limit', async () => {
    const small = new DefaultMediaProcessor({ tempDir, maxBytes: 2 ** 20 });
    let cancelled = false;
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
      cancel: () => {
        cancelled = true;
      },
    });
    expect(await outcomeOf(stream, small)).toBe('too-large');
    expect(cancelled).toBe(true);
  });
});
