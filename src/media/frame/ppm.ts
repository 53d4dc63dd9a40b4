import type { Readable } from 'node:stream';
import { MediaError } from '../../core/errors.js';

/** One decoded picture: three bytes a pixel, row by row from the top. */
export interface RgbFrame {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

const headerPattern = /^P6\s+(\d+)\s+(\d+)\s+255\s/;
const maxHeaderBytes = 64;

/**
 * Splits ffmpeg's `image2pipe` output of PPM pictures, which carry their own size. Only one picture is in
 * memory at a time: the stream is read on when the caller wants the next one, which overwrites the one
 * before. A picture that is cut off at the end is dropped.
 *
 * @param name The attachment, for messages.
 * @param memory Where a picture of just this size is put.
 */
export async function* readPpmFrames(
  stream: Readable,
  name: string,
  maxPixels: number,
  memory: Buffer = Buffer.alloc(0),
): AsyncGenerator<RgbFrame, void, undefined> {
  let pending: Buffer = Buffer.alloc(0);
  let frame: { width: number; height: number; data: Buffer; filled: number } | undefined;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    pending = pending.length ? Buffer.concat([pending, chunk]) : chunk;
    while (pending.length > 0) {
      if (!frame) {
        const header = headerPattern.exec(pending.toString('latin1', 0, maxHeaderBytes));
        if (!header && pending.length < maxHeaderBytes) break;
        const [width, height] = [Number(header?.[1]), Number(header?.[2])];
        if (!header || !(width > 0) || !(height > 0))
          throw new MediaError('corrupt', `A picture of "${name}" cannot be decoded. Export it again.`);
        if (width * height > maxPixels) {
          throw new MediaError(
            'too-large',
            `A picture of "${name}" has ${width}x${height} pixels, more than maxPixels allows.`,
          );
        }
        const bytes = width * height * 3;
        if (memory.length !== bytes) memory = Buffer.allocUnsafeSlow(bytes);
        frame = { width, height, data: memory, filled: 0 };
        pending = pending.subarray(header[0].length);
      }
      const taken = pending.copy(frame.data, frame.filled);
      frame.filled += taken;
      pending = pending.subarray(taken);
      if (frame.filled < frame.data.length) break;
      const { width, height, data } = frame;
      frame = undefined;
      yield { width, height, data };
    }
  }
}
