import { MediaError } from '../../core/errors.js';
import type { PictureFile } from './structure/picture-file.js';

/** Previews begin within this part of the file. */
const searchedBytes = 256 * 2 ** 20;
const chunkBytes = 2 ** 20;
/** Thumbnails, the preview and tiles of a lossy DNG are far fewer. */
const mostPictures = 2000;
const headerBytes = 2 ** 18;

interface Found {
  readonly at: number;
  readonly pixels: number;
}

/**
 * The largest JPEG inside a raw camera file: cameras store one as they would have taken it. What else is
 * inside differs with every model.
 *
 * @param orientation as Exif numbers it, for a preview that does not say itself
 * @throws MediaError `unsupported` if there is none
 */
export function previewOf(file: PictureFile, name: string, orientation: number): Uint8Array {
  const best = findPictures(file).sort((a, b) => b.pixels - a.pixels)[0];
  if (!best) {
    throw new MediaError(
      'unsupported',
      `"${name}" is a raw camera file without a preview in it. Export it as JPEG.`,
    );
  }
  const preview = file.at(best.at, endOf(file, best.at) - best.at);
  const isTurned =
    orientation > 1 && orientation <= 8 && !preview.subarray(0, headerBytes).includes('Exif\0\0');
  return isTurned
    ? Buffer.concat([preview.subarray(0, 2), exifOf(orientation), preview.subarray(2)])
    : preview;
}

function findPictures(file: PictureFile): Found[] {
  const found: Found[] = [];
  const end = Math.min(file.size, searchedBytes);
  for (let start = 0; start < end && found.length < mostPictures; start += chunkBytes) {
    // Three bytes more, so that no marker is lost between two chunks.
    const chunk = Buffer.from(file.at(start, chunkBytes + 3));
    for (
      let at = chunk.indexOf(startMarker);
      at >= 0 && at < chunkBytes;
      at = chunk.indexOf(startMarker, at + 1)
    ) {
      const pixels = pixelsOf(file, start + at);
      if (pixels > 0) found.push({ at: start + at, pixels });
    }
  }
  return found;
}

const startMarker = Buffer.of(0xff, 0xd8, 0xff);

/** The size of the JPEG that begins here; 0 for none, or for one of a kind that only raw data is stored in. */
function pixelsOf(file: PictureFile, from: number): number {
  for (let at = from + 2; at < from + headerBytes; ) {
    const segment = file.at(at, 9);
    if (segment.length < 9 || segment[0] !== 0xff) return 0;
    const marker = segment[1] ?? 0;
    if (marker >= 0xc0 && marker <= 0xc2) return segment.readUInt16BE(5) * segment.readUInt16BE(7);
    // Other codings, of which lossless is what raw data is stored in, and data before any size.
    const isOther = (marker > 0xc2 && marker < 0xd0 && marker !== 0xc4 && marker !== 0xcc) || marker === 0xda;
    if (isOther || marker < 0xc0) return 0;
    at += 2 + segment.readUInt16BE(2);
  }
  return 0;
}

/** Where the JPEG that begins here ends. Thumbnails in its header have ends of their own. */
function endOf(file: PictureFile, from: number): number {
  let at = from + 2;
  for (let marker = 0; marker !== 0xda; ) {
    const segment = file.at(at, 4);
    if (segment.length < 4) return file.size;
    marker = segment[1] ?? 0;
    at += 2 + segment.readUInt16BE(2);
  }
  for (; at < file.size; at += chunkBytes) {
    const end = file.at(at, chunkBytes + 1).indexOf(Buffer.of(0xff, 0xd9));
    if (end >= 0) return at + end + 2;
  }
  return file.size;
}

/** A segment of Exif that says how the picture has to be turned, and nothing else. */
function exifOf(orientation: number): Buffer {
  const exif = Buffer.from(
    '\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0',
    'latin1',
  );
  exif[29] = orientation;
  return exif;
}
