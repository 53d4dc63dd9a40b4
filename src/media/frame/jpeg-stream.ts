import type { Readable } from 'node:stream';
import { MediaError } from '../../core/errors.js';

const headerEnd = '\r\n\r\n';
const lengthPattern = /^content-length:\s*(\d+)\s*$/im;
const maxHeaderBytes = 256;

/** Output options of ffmpeg for what `readJpegs` reads. */
export function jpegOptions(quality: number): readonly string[] {
  return ['-c:v', 'mjpeg', '-qmin', '1', '-q:v', String(quantizerOf(quality)), '-f', 'mpjpeg'];
}

/**
 * Splits ffmpeg's `mpjpeg` output, in which each picture has its length in front. One that is cut off at
 * the end is dropped.
 *
 * @param name The clip, for messages.
 * @throws MediaError `too-large` for a picture of more than `maxBytes`.
 */
export async function* readJpegs(
  stream: Readable,
  name: string,
  maxBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let pending: Buffer = Buffer.alloc(0);
  let picture: { readonly data: Buffer; filled: number } | undefined;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    pending = pending.length ? Buffer.concat([pending, chunk]) : chunk;
    while (pending.length > 0) {
      if (!picture) {
        const end = pending.indexOf(headerEnd);
        if (end < 0 && pending.length < maxHeaderBytes) break;
        const length = Number(lengthPattern.exec(pending.toString('latin1', 0, Math.max(0, end)))?.[1]);
        if (!(length > 0))
          throw new MediaError('corrupt', `A picture of "${name}" cannot be decoded. Export it again.`);
        if (length > maxBytes) {
          throw new MediaError(
            'too-large',
            `A frame of "${name}" takes ${length} bytes as JPEG. Lower maxSide.`,
          );
        }
        picture = { data: Buffer.allocUnsafeSlow(length), filled: 0 };
        pending = pending.subarray(end + headerEnd.length);
      }
      const taken = pending.copy(picture.data, picture.filled);
      picture.filled += taken;
      pending = pending.subarray(taken);
      if (picture.filled < picture.data.length) break;
      const { data } = picture;
      picture = undefined;
      yield data;
    }
  }
}

/**
 * The quantizer of ffmpeg's encoder for a JPEG quality: both scale a table of much the same numbers, by
 * `q / 8` there and by the formula of libjpeg's `jpeg_quality_scaling` here.
 *
 * @param quality 1 to 100
 */
function quantizerOf(quality: number): number {
  const percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return Math.min(31, Math.max(1, Math.round((8 * percent) / 100)));
}
