import { countUpTo, type HeifItems, readHeifItems } from './heif-items.js';
import { ByteReader, type IsoBox } from './iso-boxes.js';

/** The main picture of a HEIC file as its tiles are coded; most have one, those of phones many. */
export interface HeifPicture {
  /** Before it is turned, without what is cut away. */
  readonly width: number;
  readonly height: number;
  /** What is shown of the tiles when they are put together. */
  readonly crop: { readonly left: number; readonly top: number };
  readonly columns: number;
  readonly rows: number;
  /** HEVC with start codes, row by row. Each can be decoded by itself. */
  readonly tiles: readonly Uint8Array[];
  /** How it has to be turned, as Exif numbers it: 1 to 8. */
  readonly orientation: number;
  readonly colors: HeifColors;
}

export interface HeifColors {
  /** An ICC profile. */
  readonly profile?: Uint8Array | undefined;
  /** By their numbers in ITU-T H.273. */
  readonly primaries?: number | undefined;
  readonly transfer?: number | undefined;
  readonly matrix?: number | undefined;
  readonly fullRange?: boolean | undefined;
}

/** A picture of 48 megapixels from a phone has 192. */
const mostTiles = 1024;
/** Each tile repeats some hundred bytes of them. */
const parameterSetsBytes = 2 ** 20;
/** A coded picture has one to a hundred, with a start code each. */
const mostUnits = 200_000;

/**
 * Finds the main picture of a HEIC file. `undefined` if there is no still picture in it, or one of
 * another codec.
 *
 * @throws RangeError for a damaged file
 */
export function readHeifPicture(file: Uint8Array): HeifPicture | undefined {
  const items = readHeifItems(file);
  if (!items) return undefined;
  const grid = readGrid(items, items.primary);
  if (!grid || grid.tiles.some((tile) => items.types.get(tile) !== 'hvc1')) return undefined;
  const properties = items.properties.get(items.primary) ?? [];
  const [first = items.primary] = grid.tiles;
  // Tiles may share their bytes, so together they could be far larger than the file.
  const countBytes = countUpTo(2 * file.byteLength + parameterSetsBytes);
  const countUnits = countUpTo(mostUnits);
  return {
    ...cut(grid, property(properties, 'clap')),
    columns: grid.columns,
    rows: grid.rows,
    tiles: grid.tiles.map((tile) => {
      const units = unitsOf(items, tile, countUnits);
      countBytes(units.reduce((sum, { byteLength }) => sum + byteLength, 0));
      return Buffer.concat(units);
    }),
    orientation: orientationOf(property(properties, 'irot'), property(properties, 'imir')),
    colors: { ...colorsOf(items.properties.get(first) ?? []), ...colorsOf(properties) },
  };
}

interface Grid {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
  readonly tiles: readonly number[];
}

function readGrid(items: HeifItems, item: number): Grid | undefined {
  if (items.types.get(item) !== 'grid') {
    const size = property(items.properties.get(item) ?? [], 'ispe');
    size?.fullHeader();
    return size && { width: size.number(4), height: size.number(4), columns: 1, rows: 1, tiles: [item] };
  }
  const data = new ByteReader(items.dataOf(item));
  data.number(1);
  const sizeBytes = data.number(1) & 1 ? 4 : 2;
  const [rows, columns] = [data.number(1) + 1, data.number(1) + 1];
  const tiles = items.parts.get(item) ?? [];
  // Each tile once, so that a small file cannot stand for endless work.
  if (tiles.length !== rows * columns || tiles.length > mostTiles || new Set(tiles).size !== tiles.length)
    throw new RangeError(`${tiles.length} tiles for ${columns}x${rows}.`);
  return { width: data.number(sizeBytes), height: data.number(sizeBytes), columns, rows, tiles };
}

/** A new reader of the property, since several items may share it. */
function property(properties: readonly IsoBox[], wanted: string): ByteReader | undefined {
  const box = properties.find(({ type }) => type === wanted);
  return box && new ByteReader(box.content.bytes);
}

/** The clean aperture: a size and how far its middle lies off the middle, all as fractions. */
function cut(
  { width, height }: Grid,
  aperture: ByteReader | undefined,
): Pick<HeifPicture, 'width' | 'height' | 'crop'> {
  if (!aperture) return { width, height, crop: { left: 0, top: 0 } };
  const fraction = () => aperture.signed32() / aperture.signed32();
  const [shownWidth, shownHeight, right, down] = [fraction(), fraction(), fraction(), fraction()].map(
    Math.round,
  ) as [number, number, number, number];
  const left = Math.floor((width - shownWidth) / 2) + right;
  const top = Math.floor((height - shownHeight) / 2) + down;
  const inside =
    shownWidth > 0 &&
    shownHeight > 0 &&
    left >= 0 &&
    top >= 0 &&
    left + shownWidth <= width &&
    top + shownHeight <= height;
  if (!inside) throw new RangeError('A clean aperture outside the picture.');
  return { width: shownWidth, height: shownHeight, crop: { left, top } };
}

/** By quarter turns anticlockwise, then without a mirror, mirrored upside down, mirrored left to right. */
const orientations: readonly (readonly [number, number, number])[] = [
  [1, 4, 2],
  [8, 5, 7],
  [3, 2, 4],
  [6, 7, 5],
];

function orientationOf(turn: ByteReader | undefined, mirror: ByteReader | undefined): number {
  const choices = orientations[(turn?.number(1) ?? 0) & 3] ?? [1, 4, 2];
  return (mirror ? choices[(mirror.number(1) & 1) + 1] : choices[0]) ?? 1;
}

function colorsOf(properties: readonly IsoBox[]): HeifColors {
  const colors: { -readonly [K in keyof HeifColors]: HeifColors[K] } = {};
  for (const { type, content } of properties) {
    if (type !== 'colr') continue;
    const reader = new ByteReader(content.bytes);
    const kind = reader.text(4);
    if (kind === 'prof' || kind === 'rICC') colors.profile = reader.take(reader.left);
    if (kind !== 'nclx') continue;
    colors.primaries = reader.number(2);
    colors.transfer = reader.number(2);
    colors.matrix = reader.number(2);
    colors.fullRange = reader.number(1) >> 7 === 1;
  }
  return colors;
}

const startCode = Uint8Array.of(0, 0, 0, 1);

/** An item as a stream of its own: its parameter sets, then the coded picture, with start codes. */
function unitsOf(items: HeifItems, item: number, count: (more: number) => void): readonly Uint8Array[] {
  const configuration = property(items.properties.get(item) ?? [], 'hvcC');
  if (!configuration) throw new RangeError(`Item ${item} has no parameter sets.`);
  configuration.take(21);
  const lengthBytes = (configuration.number(1) & 3) + 1;
  const units: Uint8Array[] = [];
  const add = (unit: Uint8Array) => {
    count(2);
    units.push(startCode, unit);
  };
  for (let arrays = configuration.number(1); arrays > 0; arrays -= 1) {
    configuration.number(1);
    for (let left = configuration.number(2); left > 0; left -= 1)
      add(configuration.take(configuration.number(2)));
  }
  const data = new ByteReader(items.dataOf(item));
  while (data.left > 0) add(data.take(data.number(lengthBytes)));
  return units;
}
