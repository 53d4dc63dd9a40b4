import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { MediaError } from '../../core/errors.js';
import { type FfmpegLimits, runFfmpeg } from '../ffmpeg/ffmpeg.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';

/**
 * A BMP as PNG. sharp reads none, and ffmpeg reads every kind: 1 to 32 bit, 565, run-length encoded,
 * top-down.
 */
export async function bitmapToPng(
  bitmap: Uint8Array,
  name: string,
  binary: FfmpegBinary,
  limits: FfmpegLimits,
  signal: AbortSignal,
): Promise<Uint8Array> {
  checkBitmapSize(bitmap, name, limits.maxPixels);
  const readable = (await withoutBitFields(bitmap, signal)) ?? bitmap;
  const { value, ok } = await runFfmpeg(
    binary,
    {
      input: { stream: Readable.from([readable]) },
      demuxer: 'bmp_pipe',
      // The default of 5 MB is less than one large picture.
      inputOptions: ['-probesize', String(Math.max(32, readable.byteLength))],
      outputOptions: ['-frames:v', '1', '-c:v', 'png', '-compression_level', '1', '-f', 'image2pipe'],
      consume: (output) => buffer(output),
    },
    limits,
    signal,
  );
  if (!ok || value.byteLength === 0) {
    throw new MediaError('corrupt', `"${name}" is a damaged BMP picture. Save it again, or send it as PNG.`);
  }
  return value;
}

function checkBitmapSize(bitmap: Uint8Array, name: string, maxPixels: number): void {
  if (bitmap.byteLength < 26)
    throw new MediaError('corrupt', `"${name}" is a BMP picture that breaks off at once.`);
  const view = new DataView(bitmap.buffer, bitmap.byteOffset, bitmap.byteLength);
  const isOs2 = view.getUint32(14, true) <= 16;
  const width = isOs2 ? view.getUint16(18, true) : Math.abs(view.getInt32(18, true));
  const height = isOs2 ? view.getUint16(20, true) : Math.abs(view.getInt32(22, true));
  if (width * height > maxPixels) {
    throw new MediaError('too-large', `"${name}" has ${width}x${height} pixels, more than maxPixels allows.`);
  }
}

const [bitFields, alphaBitFields] = [3, 6];
/** The masks that ffmpeg knows: 565, 555 and 444, and bytes in the order of Windows. */
const commonMasks = ['f800 7e0 1f', '7c00 3e0 1f', 'f00 f0 f', 'ff0000 ff00 ff'];
const pixelsAtOnce = 2 ** 18;
const plainHeaderBytes = 54;

/** The same picture with a byte for each color, if its bits lie where ffmpeg does not look for them. */
async function withoutBitFields(bitmap: Uint8Array, signal: AbortSignal): Promise<Buffer | undefined> {
  const source = Buffer.from(bitmap.buffer, bitmap.byteOffset, bitmap.byteLength);
  if (source.length < plainHeaderBytes + 12 || source.readUInt32LE(14) < 40) return undefined;
  const [bits, compression] = [source.readUInt16LE(28), source.readUInt32LE(30)];
  if ((bits !== 16 && bits !== 32) || (compression !== bitFields && compression !== alphaBitFields))
    return undefined;
  const masks = [0, 4, 8].map((at) => source.readUInt32LE(plainHeaderBytes + at));
  if (commonMasks.includes(masks.map((mask) => mask.toString(16)).join(' '))) return undefined;
  const [width, height] = [source.readInt32LE(18), Math.abs(source.readInt32LE(22))];
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  const from = source.readUInt32LE(10);
  // Broken off; ffmpeg says so.
  if (width <= 0 || from + rowBytes * height > source.length) return undefined;
  const channels = masks.map(channelOf);
  const plainRowBytes = Math.ceil((width * 3) / 4) * 4;
  const plain = Buffer.alloc(plainHeaderBytes + plainRowBytes * height);
  source.copy(plain, 0, 0, plainHeaderBytes);
  plain.writeUInt32LE(plainHeaderBytes, 10);
  plain.writeUInt32LE(40, 14);
  plain.writeUInt16LE(24, 28);
  plain.writeUInt32LE(0, 30);
  const rowsAtOnce = Math.max(1, Math.floor(pixelsAtOnce / width));
  for (let y = 0; y < height; y += 1) {
    if (y % rowsAtOnce === 0) {
      await setImmediate();
      signal.throwIfAborted();
    }
    for (let x = 0; x < width; x += 1) {
      const at = from + y * rowBytes + (x * bits) / 8;
      const pixel = bits === 32 ? source.readUInt32LE(at) : source.readUInt16LE(at);
      const to = plainHeaderBytes + y * plainRowBytes + x * 3;
      // Blue comes first.
      for (const [i, channel] of channels.entries()) plain[to + 2 - i] = channel(pixel);
    }
  }
  return plain;
}

/** Reads the bits of a mask as a byte. */
function channelOf(mask: number): (pixel: number) => number {
  if (mask === 0) return () => 0;
  const shift = 31 - Math.clz32(mask & -mask);
  const most = mask >>> shift;
  return (pixel) => Math.round((((pixel & mask) >>> shift) * 255) / most);
}
