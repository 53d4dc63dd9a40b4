import { MediaError } from '../../core/errors.js';
import type { ImageSettings, ImageWork } from './image-settings.js';
import { makeTiff } from './make-tiff.js';
import { type ImageInput, tooManyPixels } from './outline.js';
import { type PictureFile, withPictureFile } from './structure/picture-file.js';

/** What the headers of a BMP say, of OS/2 and of all versions of Windows. */
interface BitmapHeader {
  readonly width: number;
  readonly height: number;
  readonly isTopDown: boolean;
  readonly bits: number;
  readonly compression: number;
  /** Where the pixels begin. */
  readonly start: number;
  /** Red, green and blue of each index, one after the other. */
  readonly palette: Uint8Array;
  /** Of red, green, blue and alpha. */
  readonly masks: readonly number[];
}

const [rle8, rle4, bitFields, jpeg, png, alphaBitFields] = [1, 2, 3, 4, 5, 6];
const fileHeaderBytes = 14;
/** The first of OS/2. A second one has 64 bytes, and other meanings of `compression`. */
const [oldHeaderBytes, os2HeaderBytes, windowsHeaderBytes] = [12, 64, 40];
const maskAt = fileHeaderBytes + windowsHeaderBytes;

/**
 * A BMP as a TIFF on white: 1 to 32 bits, bits anywhere, run-length encoded, top-down. sharp reads none, and
 * ffmpeg takes what is left of 32 bits for transparency, and a palette for pixels where the file is off.
 *
 * @throws MediaError `corrupt`, `too-large`, `unsupported`
 */
export async function bitmapToTiff(
  input: ImageInput,
  { maxPixels }: ImageSettings,
  { admit }: ImageWork,
): Promise<Uint8Array> {
  const { name } = input;
  const header = withPictureFile(input, (file) => readHeader(file, name));
  const { compression, height, width } = header;
  if (width * height > maxPixels) throw tooManyPixels(name);
  await admit(width * height);
  return withPictureFile(input, (file) => {
    // A whole picture of another format.
    if (compression === jpeg || compression === png) return file.at(header.start, file.size);
    const { file: tiff, pixels } = makeTiff({ width, height, orientation: 1 });
    const isComplete =
      compression === rle8 || compression === rle4
        ? unpack(file, header, pixels)
        : copyRows(file, header, pixels);
    if (isComplete) return tiff;
    throw damaged(name);
  });
}

function readHeader(file: PictureFile, name: string): BitmapHeader {
  // Zeros where it breaks off; the pixels are missing then.
  const head = Buffer.concat([file.at(0, 138), Buffer.alloc(138)]);
  const headerBytes = head.readUInt32LE(fileHeaderBytes);
  const isOld = headerBytes === oldHeaderBytes;
  const [width, height] = isOld
    ? [head.readUInt16LE(18), head.readUInt16LE(20)]
    : [head.readInt32LE(18), head.readInt32LE(22)];
  const bits = head.readUInt16LE(isOld ? 24 : 28);
  const compression = headerBytes >= windowsHeaderBytes ? head.readUInt32LE(30) : 0;
  if (headerBytes === os2HeaderBytes && compression >= bitFields) {
    throw new MediaError(
      'unsupported',
      `"${name}" is a BMP picture of OS/2, compressed in a way that is not read here. Send it as PNG.`,
    );
  }
  const hasMasks = compression === bitFields || compression === alphaBitFields;
  const bitsExpected = { [rle8]: [8], [rle4]: [4], [bitFields]: [16, 32], [alphaBitFields]: [16, 32] };
  const isPicture = compression === jpeg || compression === png;
  const possible = bitsExpected[compression] ?? (compression === 0 ? [1, 2, 4, 8, 16, 24, 32] : []);
  if (width <= 0 || height === 0 || !(isPicture || possible.includes(bits))) throw damaged(name);
  const masks = hasMasks
    ? [0, 4, 8].map((at) => head.readUInt32LE(maskAt + at))
    : bits === 16
      ? [0x7c00, 0x3e0, 0x1f]
      : [0xff0000, 0xff00, 0xff];
  // Without masks what is left of 32 bits means nothing, though it is often filled.
  const hasAlpha = hasMasks && (headerBytes > 52 || compression === alphaBitFields);
  const separateMasks = headerBytes === windowsHeaderBytes && hasMasks ? (hasAlpha ? 16 : 12) : 0;
  const paletteAt = fileHeaderBytes + headerBytes + separateMasks;
  const entryBytes = isOld ? 3 : 4;
  const stated = headerBytes >= windowsHeaderBytes ? head.readUInt32LE(46) : 0;
  const colors = bits > 8 ? 0 : Math.min(stated || 2 ** bits, 2 ** bits);
  const start = head.readUInt32LE(10);
  return {
    ...{ bits, compression, width, height: Math.abs(height), isTopDown: height < 0 },
    // Some programs forget the palette when they say where the pixels begin.
    start: start <= paletteAt ? paletteAt + colors * entryBytes : start,
    palette: readPalette(file.at(paletteAt, colors * entryBytes), entryBytes),
    masks: [...masks, hasAlpha ? head.readUInt32LE(maskAt + 12) : 0],
  };
}

/** 256 colors; black for those that are not there. */
function readPalette(entries: Buffer, entryBytes: number): Uint8Array {
  const palette = new Uint8Array(256 * 3);
  for (let n = 0; (n + 1) * entryBytes <= entries.length; n += 1) {
    // Blue comes first.
    for (const channel of [0, 1, 2]) palette[n * 3 + channel] = entries[n * entryBytes + 2 - channel] ?? 0;
  }
  return palette;
}

const rowOf = ({ height, isTopDown, width }: BitmapHeader, y: number) =>
  (isTopDown ? y : height - 1 - y) * width * 3;

/** Whether all rows were there. */
function copyRows(file: PictureFile, header: BitmapHeader, pixels: Buffer): boolean {
  const { bits, height, start, width } = header;
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  const neededBytes = Math.ceil((width * bits) / 8);
  const row = (y: number) => file.at(start + y * rowBytes, neededBytes);
  if (row(height - 1).length < neededBytes) return false;
  const copy = bits <= 8 ? copyIndexed(header) : bits === 24 ? copyPlain(width) : copyMasked(header, row);
  for (let y = 0; y < height; y += 1) copy(row(y), pixels, rowOf(header, y));
  return true;
}

type CopyRow = (from: Buffer, to: Buffer, at: number) => void;

function copyIndexed({ bits, palette, width }: BitmapHeader): CopyRow {
  const perByte = 8 / bits;
  return (from, to, at) => {
    for (let x = 0; x < width; x += 1) {
      const shift = 8 - bits * ((x % perByte) + 1);
      const color = (((from[Math.floor(x / perByte)] ?? 0) >> shift) & (2 ** bits - 1)) * 3;
      for (let channel = 0; channel < 3; channel += 1)
        to[at + x * 3 + channel] = palette[color + channel] ?? 0;
    }
  };
}

function copyPlain(width: number): CopyRow {
  return (from, to, at) => {
    for (let x = 0; x < width * 3; x += 3) {
      to[at + x] = from[x + 2] ?? 0;
      to[at + x + 1] = from[x + 1] ?? 0;
      to[at + x + 2] = from[x] ?? 0;
    }
  };
}

/** Pixels of 16 or 32 bits, on white where they are transparent. */
function copyMasked({ bits, height, masks, width }: BitmapHeader, row: (y: number) => Buffer): CopyRow {
  const channels = masks.map(channelOf);
  const [red, green, blue, alpha] = channels as [Channel, Channel, Channel, Channel];
  const bytes = bits / 8;
  const pixelOf = (from: Buffer, x: number) =>
    bits === 16 ? from.readUInt16LE(x * bytes) : from.readUInt32LE(x * bytes);
  const isSeen = () => {
    for (let y = 0; y < height; y += 1) {
      const from = row(y);
      for (let x = 0; x < width; x += 1) if (alpha(pixelOf(from, x)) > 0) return true;
    }
    return false;
  };
  // Where nothing would be seen, alpha was not meant.
  const hasAlpha = masks[3] !== 0 && isSeen();
  return (from, to, at) => {
    for (let x = 0; x < width; x += 1) {
      const pixel = pixelOf(from, x);
      const share = hasAlpha ? alpha(pixel) / 255 : 1;
      to[at + x * 3] = 255 - share * (255 - red(pixel));
      to[at + x * 3 + 1] = 255 - share * (255 - green(pixel));
      to[at + x * 3 + 2] = 255 - share * (255 - blue(pixel));
    }
  };
}

type Channel = (pixel: number) => number;

/** Reads the bits of a mask as a byte. */
function channelOf(mask: number): Channel {
  if (mask === 0) return () => 0;
  const shift = 31 - Math.clz32(mask & -mask);
  const most = mask >>> shift;
  return (pixel) => Math.round((((pixel & mask) >>> shift) * 255) / most);
}

/** Unpacks runs. Whether the data came to its end; what it skips has the first color. */
function unpack(file: PictureFile, header: BitmapHeader, pixels: Buffer): boolean {
  const { bits, height, palette, start, width } = header;
  pixels.fill(palette.subarray(0, 3));
  let [x, y, at] = [0, 0, start];
  const put = (index: number) => {
    if (x < width && y < height)
      pixels.set(palette.subarray(index * 3, index * 3 + 3), rowOf(header, y) + x * 3);
    x += 1;
  };
  /** One of the indexes in a byte. */
  const indexIn = (byte: number, n: number) => (bits === 8 ? byte : n % 2 === 0 ? byte >> 4 : byte & 15);
  while (y < height) {
    const [count, value] = file.at(at, 2);
    if (count === undefined || value === undefined) return false;
    at += 2;
    if (count > 0) for (let n = 0; n < count; n += 1) put(indexIn(value, n));
    else if (value === 0) [x, y] = [0, y + 1];
    else if (value === 1) return true;
    else if (value === 2) {
      const [right, up] = file.at(at, 2);
      if (right === undefined || up === undefined) return false;
      [x, y, at] = [x + right, y + up, at + 2];
    } else {
      const bytes = Math.ceil((value * bits) / 8);
      const literal = file.at(at, bytes);
      if (literal.length < bytes) return false;
      for (let n = 0; n < value; n += 1) put(indexIn(literal[Math.floor((n * bits) / 8)] ?? 0, n));
      // Of two bytes each.
      at += bytes + (bytes % 2);
    }
  }
  return true;
}

function damaged(name: string): MediaError {
  return new MediaError('corrupt', `"${name}" is a damaged BMP picture. Save it again, or send it as PNG.`);
}
