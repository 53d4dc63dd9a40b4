import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
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
  const { value, ok } = await runFfmpeg(
    binary,
    {
      input: { stream: Readable.from([bitmap]) },
      demuxer: 'bmp_pipe',
      // The default of 5 MB is less than one large picture.
      inputOptions: ['-probesize', String(Math.max(32, bitmap.byteLength))],
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
