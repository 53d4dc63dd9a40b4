import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { type ClipOptions, drawPicture, ffmpeg, makeBitmap, makeClip } from './media-fixtures.js';
import { makeHeic } from './media-heic.js';

/** A tiny file of one format. */
export interface MediaSample {
  readonly name: string;
  readonly bytes: Buffer;
  /** What preparing it takes: nothing but this process, or ffmpeg as well. */
  readonly cost: 'in-process' | 'ffmpeg';
}

const width = 64;
const height = 32;

/** One sample of every format that is read here: pictures, clips, recordings, documents. */
export async function makeSamples(directory: string): Promise<readonly MediaSample[]> {
  return [
    ...(await pictures()),
    ...bitmaps(),
    ...(await heics()),
    ...documents(),
    ...(await clips(directory)),
    ...(await recordings(directory)),
  ];
}

async function pictures(): Promise<readonly MediaSample[]> {
  const picture = () => drawPicture(5, width, height);
  const pages = await Promise.all(
    [1, 2, 3].map((page) => drawPicture(page, width, height).removeAlpha().raw().toBuffer()),
  );
  const stack = () =>
    sharp(Buffer.concat(pages), {
      raw: { width, height: height * pages.length, channels: 3, pageHeight: height },
    });
  const upright = { orientation: 6 };
  const encoders = {
    'a.jpg': picture().withMetadata(upright).jpeg(),
    'progressive.jpg': picture().jpeg({ progressive: true }),
    'cmyk.jpg': picture().toColorspace('cmyk').jpeg(),
    'a.png': picture().png(),
    'interlaced.png': picture().png({ progressive: true }),
    'palette.png': picture().png({ palette: true }),
    'deep.png': picture().toColorspace('rgb16').png(),
    'a.gif': picture().gif(),
    'animated.gif': stack().gif({ delay: [50, 200, 100] }),
    'a.webp': picture().webp(),
    'lossless.webp': picture().webp({ lossless: true }),
    'animated.webp': stack().webp({ delay: [50, 200, 100] }),
    'a.avif': picture().avif({ effort: 0 }),
    'deflate.tif': picture().tiff({ compression: 'deflate' }),
    'lzw.tif': picture().tiff({ compression: 'lzw', tile: true, tileWidth: 16, tileHeight: 16 }),
    'jpeg.tif': picture().tiff({ compression: 'jpeg' }),
    'big.tif': picture().tiff({ compression: 'none', bigtiff: true }),
    'pages.tif': stack().tiff({ compression: 'packbits' }),
  };
  return Promise.all(
    Object.entries(encoders).map(async ([name, encoder]) => ({
      name,
      bytes: await encoder.toBuffer(),
      cost: 'in-process' as const,
    })),
  );
}

function bitmaps(): readonly MediaSample[] {
  const colorAt = (x: number) => (x % 2 ? 0xff_ff_ff : 0x20_40_80);
  return ([1, 4, 8, 16, 24, 32] as const).map((bits) => ({
    name: `${bits}.bmp`,
    bytes: makeBitmap({ width, height, bits, topDown: bits === 24, colorAt }),
    cost: 'in-process' as const,
  }));
}

async function heics(): Promise<readonly MediaSample[]> {
  const picture = drawPicture(5, width, height);
  const files = {
    'a.heic': await makeHeic(picture, { turns: 0, mirror: 1, colors: { matrix: 'bt709', fullRange: true } }),
    'tiles.heic': await makeHeic(picture, { tile: { width: 32, height: 32 } }),
  };
  return Object.entries(files).map(([name, bytes]) => ({ name, bytes, cost: 'ffmpeg' as const }));
}

function documents(): readonly MediaSample[] {
  const pdf = [
    '%PDF-1.4',
    '1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj',
    '2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj',
    '3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >> endobj',
    'trailer << /Root 1 0 R >>',
    '%%EOF',
  ].join('\n');
  const texts = {
    'a.pdf': Buffer.from(pdf),
    'a.txt': Buffer.from('A text of some length, with ümläuts, 漢字 and 🦊.\n'.repeat(10)),
    'wide.txt': Buffer.from(`\ufeff${'Text in UTF-16.\n'.repeat(10)}`, 'utf16le'),
    'a.csv': Buffer.from('name,value\nfirst,1\nsecond,2\n'),
  };
  return Object.entries(texts).map(([name, bytes]) => ({ name, bytes, cost: 'in-process' }));
}

const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-sc_threshold', '0'];
const vp8 = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8'];
const vp9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'];
const hevc = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none'];
const mp3 = ['-c:a', 'libmp3lame', '-b:a', '64k'];

const clipKinds: Readonly<Record<string, Partial<ClipOptions>>> = {
  'h264.mp4': { codec: h264, audio: true },
  'edited.mp4': { codec: [...h264, '-bf', '2'], options: ['-ss', '0.1', '-movflags', 'faststart'] },
  'fragmented.mp4': { codec: h264, audio: true, options: ['-movflags', 'frag_keyframe+empty_moov'] },
  'hevc.mp4': { codec: hevc },
  'h264.mov': { codec: h264, audio: ['-c:a', 'pcm_s16le'] },
  'mjpeg.mov': { codec: ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'] },
  'prores.mov': { codec: ['-c:v', 'prores_ks', '-profile:v', '0'] },
  'h264.3gp': { codec: h264, audio: true },
  'h264.mkv': { codec: h264, audio: mp3 },
  'vp9.mkv': { codec: vp9, audio: ['-c:a', 'flac'] },
  'vp8.webm': { codec: vp8, audio: ['-c:a', 'libopus'] },
  'vp9.webm': { codec: vp9 },
  'mpeg4.avi': { codec: ['-c:v', 'mpeg4'], audio: mp3 },
  'mjpeg.avi': { codec: ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'] },
  'wmv2.wmv': { codec: ['-c:v', 'wmv2'], audio: ['-c:a', 'wmav2'] },
  'h263.flv': { codec: ['-c:v', 'flv'], audio: ['-c:a', 'libmp3lame', '-ar', '44100'] },
  'h264.flv': { codec: h264 },
  'mpeg2.mpg': { codec: ['-c:v', 'mpeg2video'], audio: ['-c:a', 'mp2'] },
  'mpeg1.m1v': { codec: ['-c:v', 'mpeg1video'], options: ['-f', 'mpeg1video'] },
  'h264.ts': { codec: h264, audio: true },
};

async function clips(directory: string): Promise<readonly MediaSample[]> {
  const samples: MediaSample[] = [];
  for (const [name, kind] of Object.entries(clipKinds)) {
    const path = join(directory, name);
    await makeClip({ path, seconds: 0.48, fps: 25, gop: 4, width, height, ...kind });
    samples.push({ name, bytes: await readFile(path), cost: 'ffmpeg' });
  }
  return samples;
}

const recordingKinds: Readonly<Record<string, readonly string[]>> = {
  'a.mp3': mp3,
  'a.wav': [],
  'a.aac': ['-c:a', 'aac'],
  'a.flac': [],
  'vorbis.ogg': ['-c:a', 'libvorbis'],
  'opus.ogg': ['-c:a', 'libopus'],
  'a.m4a': ['-c:a', 'aac'],
  'a.aiff': [],
};

async function recordings(directory: string): Promise<readonly MediaSample[]> {
  const samples: MediaSample[] = [];
  for (const [name, codec] of Object.entries(recordingKinds)) {
    const path = join(directory, name);
    ffmpeg('-f', 'lavfi', '-t', '0.3', '-i', 'sine=frequency=440:sample_rate=16000', ...codec, path);
    samples.push({ name, bytes: await readFile(path), cost: 'ffmpeg' });
  }
  return samples;
}
