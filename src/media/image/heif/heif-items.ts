import { ByteReader, type IsoBox } from './iso-boxes.js';

/** The items of a HEIF file: coded pictures, and pictures that are composed of others. */
export interface HeifItems {
  readonly primary: number;
  readonly types: ReadonlyMap<number, string>;
  /** What belongs to each item, in the order in which it applies. */
  readonly properties: ReadonlyMap<number, readonly IsoBox[]>;
  /** The items that each is derived from. */
  readonly parts: ReadonlyMap<number, readonly number[]>;
  /** The bytes of an item. @throws RangeError when they are not there. */
  dataOf(item: number): Uint8Array;
}

/** Of extents, parts and properties. Real files have a hundred items or two, and one or two extents an item. */
const mostEntries = 20_000;

interface Location {
  readonly inItemData: boolean;
  readonly extents: readonly { readonly offset: number; readonly length: number }[];
}

/**
 * Reads the items of a HEIF file (ISO/IEC 23008-12); `undefined` if it has none, as a sequence of
 * pictures.
 *
 * @throws RangeError for a damaged file
 */
export function readHeifItems(file: Uint8Array): HeifItems | undefined {
  const meta = find(new ByteReader(file).boxes(), 'meta');
  if (!meta) return undefined;
  meta.fullHeader();
  const boxes = new Map([...meta.boxes()].map(({ type, content }) => [type, content]));
  const [pitm, iinf, iloc, iprp] = ['pitm', 'iinf', 'iloc', 'iprp'].map((type) => boxes.get(type));
  if (!pitm || !iinf || !iloc || !iprp) return undefined;
  const locations = readLocations(iloc);
  const itemData = boxes.get('idat')?.bytes;
  return {
    primary: pitm.number(pitm.fullHeader().version === 0 ? 2 : 4),
    types: readTypes(iinf),
    properties: readProperties(iprp),
    parts: readParts(boxes.get('iref')),
    dataOf: (item) => {
      const { inItemData, extents } = locations.get(item) ?? { inItemData: false, extents: [] };
      const source = inItemData ? itemData : file;
      if (!source || extents.length === 0) throw new RangeError(`Item ${item} is nowhere.`);
      return join(source, extents);
    },
  };
}

/** Counts what a file lists. @throws RangeError above `most`, since what is listed takes more memory than the file */
export function countUpTo(most: number): (more: number) => void {
  let left = most;
  return (more) => {
    left -= more;
    if (left < 0) throw new RangeError(`More than ${most} entries.`);
  };
}

function find(boxes: Iterable<IsoBox>, wanted: string): ByteReader | undefined {
  for (const { type, content } of boxes) if (type === wanted) return content;
  return undefined;
}

function join(source: Uint8Array, extents: Location['extents']): Uint8Array {
  const bytes = extents.reduce((sum, { length }) => sum + length, 0);
  // Extents may overlap, so together they could be far larger than the file.
  if (bytes > source.byteLength) throw new RangeError(`An item of ${bytes} bytes.`);
  const parts = extents.map(({ offset, length }) => {
    const reader = new ByteReader(source.subarray(offset));
    return reader.take(length);
  });
  return parts.length === 1 ? (parts[0] ?? source) : Buffer.concat(parts);
}

function readTypes(iinf: ByteReader): ReadonlyMap<number, string> {
  iinf.number(iinf.fullHeader().version === 0 ? 2 : 4);
  const types = new Map<number, string>();
  for (const { type, content } of iinf.boxes()) {
    if (type !== 'infe') continue;
    const { version } = content.fullHeader();
    // Older versions describe files that are attached, not pictures.
    if (version < 2) continue;
    const item = content.number(version === 2 ? 2 : 4);
    content.number(2);
    types.set(item, content.text(4));
  }
  return types;
}

function readLocations(iloc: ByteReader): ReadonlyMap<number, Location> {
  const { version } = iloc.fullHeader();
  const sizes = iloc.number(2);
  const [offsetBytes, lengthBytes, baseBytes] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15];
  const indexBytes = version === 0 ? 0 : sizes & 15;
  const idBytes = version < 2 ? 2 : 4;
  const locations = new Map<number, Location>();
  const count = countUpTo(mostEntries);
  for (let left = iloc.number(idBytes); left > 0; left -= 1) {
    const item = iloc.number(idBytes);
    const method = version === 0 ? 0 : iloc.number(2) & 15;
    iloc.number(2);
    const base = iloc.number(baseBytes);
    const length = iloc.number(2);
    count(1 + length);
    const extents = Array.from({ length }, () => {
      iloc.number(indexBytes);
      return { offset: base + iloc.number(offsetBytes), length: iloc.number(lengthBytes) };
    });
    if (method < 2) locations.set(item, { inItemData: method === 1, extents });
  }
  return locations;
}

function readProperties(iprp: ByteReader): ReadonlyMap<number, readonly IsoBox[]> {
  const known: IsoBox[] = [];
  const properties = new Map<number, readonly IsoBox[]>();
  const count = countUpTo(mostEntries);
  for (const { type, content } of iprp.boxes()) {
    if (type === 'ipco') known.push(...content.boxes());
    if (type !== 'ipma') continue;
    const { version, flags } = content.fullHeader();
    const wide = (flags & 1) === 1;
    for (let left = content.number(4); left > 0; left -= 1) {
      const item = content.number(version === 0 ? 2 : 4);
      const length = content.number(1);
      count(1 + length);
      const indexes = Array.from({ length }, () =>
        // The highest bit marks a property that a reader must know.
        wide ? content.number(2) & 0x7fff : content.number(1) & 0x7f,
      );
      properties.set(
        item,
        indexes.flatMap((index) => known[index - 1] ?? []),
      );
    }
  }
  return properties;
}

function readParts(iref: ByteReader | undefined): ReadonlyMap<number, readonly number[]> {
  const parts = new Map<number, readonly number[]>();
  if (!iref) return parts;
  const count = countUpTo(mostEntries);
  const idBytes = iref.fullHeader().version === 0 ? 2 : 4;
  for (const { type, content } of iref.boxes()) {
    if (type !== 'dimg') continue;
    const item = content.number(idBytes);
    const length = content.number(2);
    count(1 + length);
    parts.set(
      item,
      Array.from({ length }, () => content.number(idBytes)),
    );
  }
  return parts;
}
