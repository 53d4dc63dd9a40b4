import type { PictureFile } from './picture-file.js';

/** One directory of a TIFF: a page, a reduced copy of one, or the raw data of a camera. */
export interface TiffPage {
  readonly width: number;
  readonly height: number;
  /** A smaller copy of another page, or a mask. */
  readonly isReduced: boolean;
  readonly bits: number;
  readonly samples: number;
  readonly compression: number;
  readonly photometric: number;
  readonly orientation: number;
  /** Planes one after the other instead of pixels. */
  readonly isPlanar: boolean;
  readonly isTiled: boolean;
  /** Colors of YCbCr are stored for each pixel. */
  readonly isUnsampled: boolean;
  /** 1 unsigned, 2 signed, 3 floating point, 5 and 6 complex. */
  readonly sampleFormat: number;
  /** What channels beyond the colors are: 0 unspecified, 1 and 2 alpha. */
  readonly extraSamples: readonly number[];
  /** Holds what a camera's sensor saw, itself or in a directory below. */
  readonly isRaw: boolean;
}

const tags = {
  subfileType: 254,
  oldSubfileType: 255,
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  orientation: 274,
  samples: 277,
  planar: 284,
  tileWidth: 322,
  subDirectories: 330,
  extraSamples: 338,
  subsampling: 530,
  sampleFormat: 339,
  dngVersion: 50_706,
};
/** Color filter array and linear raw. */
const rawPhotometrics = [32_803, 34_892];
/** Of Nikon, Sony, Pentax, Kodak and Samsung. */
const rawCompressions = [34_713, 32_767, 65_535, 65_000, 32_770];
const valueBytes: Readonly<Record<number, number>> = {
  1: 1,
  3: 2,
  4: 4,
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  13: 4,
  16: 8,
  18: 8,
};
const known: ReadonlySet<number> = new Set(Object.values(tags));
const mostEntries = 1000;
const mostValues = 16;

/**
 * The directories of a TIFF, in the order in which they are chained and numbered.
 *
 * @param most directories after which it stops counting
 */
export function readTiff(file: PictureFile, most: number): readonly TiffPage[] {
  const reader = new TiffReader(file);
  const pages: TiffPage[] = [];
  const seen = new Set<number>();
  for (let at = reader.first; at > 0 && at < file.size && !seen.has(at) && pages.length <= most; ) {
    seen.add(at);
    const { fields, next } = reader.directory(at);
    if (!fields) break;
    const below = (fields.get(tags.subDirectories) ?? []).flatMap((offset) => {
      const directory = seen.has(offset) ? undefined : reader.directory(offset).fields;
      return directory ? [describe(directory)] : [];
    });
    const page = describe(fields);
    pages.push({ ...page, isRaw: page.isRaw || below.some(({ isRaw }) => isRaw) });
    at = next;
  }
  return pages;
}

type Fields = ReadonlyMap<number, readonly number[]>;

function describe(fields: Fields): TiffPage {
  const one = (tag: number, otherwise: number) => fields.get(tag)?.[0] ?? otherwise;
  const compression = one(tags.compression, 1);
  const photometric = one(tags.photometric, 0);
  return {
    width: one(tags.width, 0),
    height: one(tags.height, 0),
    isReduced: (one(tags.subfileType, 0) & 5) !== 0 || one(tags.oldSubfileType, 1) === 2,
    bits: Math.max(...(fields.get(tags.bits) ?? [1])),
    samples: one(tags.samples, 1),
    ...{ compression, photometric },
    orientation: one(tags.orientation, 1),
    isPlanar: one(tags.planar, 1) === 2,
    isTiled: fields.has(tags.tileWidth),
    isUnsampled: (fields.get(tags.subsampling) ?? [2, 2]).every((factor) => factor === 1),
    sampleFormat: one(tags.sampleFormat, 1),
    extraSamples: fields.get(tags.extraSamples) ?? [],
    isRaw:
      fields.has(tags.dngVersion) ||
      rawPhotometrics.includes(photometric) ||
      rawCompressions.includes(compression),
  };
}

/** Reads the directories of TIFF and BigTIFF in either byte order. Where the file ends there are none. */
class TiffReader {
  readonly first: number;
  readonly #file: PictureFile;
  readonly #isLittle: boolean;
  readonly #isBig: boolean;

  constructor(file: PictureFile) {
    const head = file.at(0, 16);
    this.#file = file;
    this.#isLittle = head[0] === 0x49;
    this.#isBig = (this.#isLittle ? head[2] : head[3]) === 0x2b;
    this.first = this.#isBig ? this.#number(8, 8) : this.#number(4, 4);
  }

  directory(at: number): { readonly fields?: Fields; readonly next: number } {
    const [countBytes, entryBytes, offsetBytes] = this.#isBig ? [8, 20, 8] : [2, 12, 4];
    const count = this.#number(at, countBytes);
    if (count === 0 || count > mostEntries) return { next: 0 };
    const fields = new Map<number, readonly number[]>();
    const first = at + countBytes;
    for (let entry = first; entry < first + count * entryBytes; entry += entryBytes) {
      const tag = this.#number(entry, 2);
      if (!known.has(tag) || fields.has(tag)) continue;
      const values = this.#values(entry, offsetBytes);
      if (values.length > 0) fields.set(tag, values);
    }
    return { fields, next: this.#number(first + count * entryBytes, offsetBytes) };
  }

  #values(entry: number, offsetBytes: number): readonly number[] {
    const bytes = valueBytes[this.#number(entry + 2, 2)];
    if (!bytes) return [];
    const count = this.#number(entry + 4, offsetBytes);
    const place = entry + 4 + offsetBytes;
    const from = count * bytes <= offsetBytes ? place : this.#number(place, offsetBytes);
    return Array.from({ length: Math.min(count, mostValues) }, (_, i) =>
      this.#number(from + i * bytes, bytes),
    );
  }

  #number(at: number, bytes: number): number {
    const found = this.#file.at(at, bytes);
    if (found.length < bytes) return 0;
    if (bytes === 8) return Number(this.#isLittle ? found.readBigUInt64LE() : found.readBigUInt64BE());
    return this.#isLittle ? found.readUIntLE(0, bytes) : found.readUIntBE(0, bytes);
  }
}
