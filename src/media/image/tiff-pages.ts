import { MediaError } from '../../core/errors.js';
import type { TiffPage } from './structure/tiff.js';

/** By the numbers of TIFF 6.0 and its supplements. */
const photometric = { rgb: 2, yCbCr: 6, lab: [8, 9, 10] };
const [oldJpeg, jpeg] = [6, 7];
/** That the libtiff in sharp is built without. */
const unreadableCompressions: Readonly<Record<number, string>> = {
  34661: 'JBIG',
  34676: 'LogLuv',
  34677: 'LogLuv',
  34712: 'JPEG 2000',
  34887: 'LERC',
  34925: 'LZMA',
};
const unspecified = 0;

/** The numbers of the pages that are no reduced copy of another; all if there are only such. */
export function realPages(pages: readonly TiffPage[]): readonly number[] {
  const all = pages.map((_, number) => number);
  const real = all.filter((number) => !pages[number]?.isReduced);
  return real.length > 0 ? real : all;
}

/** How many channels of a page are colors, if others follow that are no transparency. */
export function colorChannels({ extraSamples, samples }: TiffPage): number | undefined {
  const isPlain = extraSamples.length === 0 || (extraSamples.length === 1 && extraSamples[0] !== unspecified);
  return isPlain ? undefined : samples - extraSamples.length;
}

/**
 * Refuses what libvips 8.18 shows in wrong colors or not at all.
 *
 * @throws MediaError `unsupported`
 */
export function refuseUnreadable(page: TiffPage, name: string): void {
  const kind = unreadableKind(page);
  if (!kind) return;
  throw new MediaError(
    'unsupported',
    `"${name}" is a TIFF picture with ${kind}, which are not read here. Export it as RGB with 8 or 16 bits a channel, or as PNG.`,
  );
}

function unreadableKind(page: TiffPage): string | undefined {
  const { bits, compression, samples, sampleFormat } = page;
  if (sampleFormat === 3) return `floating-point samples of ${bits} bits`;
  if (sampleFormat === 2) return `signed samples of ${bits} bits`;
  if (sampleFormat > 4) return 'complex samples';
  if (bits > 16) return `samples of ${bits} bits`;
  if (bits !== 8 && bits !== 16 && (samples > 1 || ![1, 2, 4].includes(bits)))
    return `samples of ${bits} bits`;
  const packed = unreadableCompressions[compression];
  if (packed) return `data compressed as ${packed}`;
  if (compression === oldJpeg) return 'data compressed as old-style JPEG';
  if (photometric.lab.includes(page.photometric) && (bits === 8 || page.extraSamples.length > 0))
    return page.extraSamples.length > 0 ? 'Lab colors and further channels' : 'Lab colors of 8 bits';
  if (page.photometric === photometric.yCbCr && compression !== jpeg && (page.isUnsampled || page.isPlanar))
    return 'YCbCr colors for each pixel';
  if (page.isPlanar && page.isTiled && samples > 1) return 'tiles of separate color planes';
  return undefined;
}
