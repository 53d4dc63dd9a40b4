import { MediaError } from '../../core/errors.js';
import type { PreparedMedia } from '../../core/media.js';
import type { ReattachedMedia } from './compose.js';

/** Bytes of attachments in a request, before base64. Files that are uploaded count as none. */
export function bytesOf(media: readonly PreparedMedia[]): number {
  return media.flatMap(({ parts }) => parts).reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** @throws MediaError `too-large` if the attachments do not fit into one request. */
export function checkMediaBytes(media: readonly PreparedMedia[], maxBytes: number): void {
  const bytes = bytesOf(media);
  if (bytes <= maxBytes) return;
  throw new MediaError(
    'too-large',
    `The attachments have ${inMebibytes(bytes)} MiB together as they are sent, but only ${inMebibytes(maxBytes)} MiB go into one request. Ask about fewer at a time, or send smaller ones.`,
  );
}

const inMebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

/** Those that fit beside the new attachments. The latest are preferred; the order is kept. */
export function fitReattached(
  shownAgain: readonly ReattachedMedia[],
  maxBytes: number,
): readonly ReattachedMedia[] {
  let left = maxBytes;
  const fitting = [...shownAgain].reverse().filter(({ media }) => {
    const bytes = bytesOf([media]);
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
  return fitting.reverse();
}
