/** A piece of a file with its length in front: a box, an element, a chunk, a segment, a packet. */
export interface MediaUnit {
  readonly start: number;
  readonly end: number;
  /** Where its length is written, if anywhere. */
  readonly size?: { readonly at: number; readonly bytes: number; readonly littleEndian: boolean } | undefined;
}

/** The pieces that a file is made of, inner ones too; none for a format without any. */
export function findUnits(file: Buffer): readonly MediaUnit[] {
  if (file.length < 32) return [];
  const four = (at: number) => file.toString('latin1', at, at + 4);
  if (four(4) === 'ftyp') return boxes(file, 0, file.length);
  if (file.readUInt32BE(0) === 0x1a45dfa3) return elements(file, 0, file.length);
  if (four(0) === 'RIFF') return chunks(file, 12, file.length, true, 8);
  if (four(0) === 'FORM') return chunks(file, 12, file.length, false, 8);
  if (four(1) === 'PNG\r') return chunks(file, 8, file.length, false, 12);
  if (file.readUInt16BE(0) === 0xffd8) return segments(file);
  if (four(0) === 'II*\0') return directoryEntries(file);
  if (four(0) === 'FLV\x01') return tags(file);
  if (four(0) === 'OggS') return matches(file, 'OggS');
  if (file.readUInt32BE(0) === 0x3026b275) return objects(file, 0, file.length);
  if (file[0] === 0x47 && file[188] === 0x47) return packets(file, 188);
  if (file.readUInt32BE(0) >> 8 === 1) return matches(file, '\0\0\x01');
  return [];
}

const innerBoxes = new Set(
  'moov trak mdia minf stbl edts udta mvex moof traf dinf meta iprp ipco'.split(' '),
);

function boxes(file: Buffer, from: number, to: number): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  for (let at = from; at + 8 <= to; ) {
    const bytes = file.readUInt32BE(at);
    const end = bytes < 8 ? to : Math.min(to, at + bytes);
    units.push({ start: at, end, size: { at, bytes: 4, littleEndian: false } });
    const type = file.toString('latin1', at + 4, at + 8);
    if (innerBoxes.has(type)) units.push(...boxes(file, at + (type === 'meta' ? 12 : 8), end));
    at = end;
  }
  return units;
}

/** Segment, SeekHead, Info, Tracks, TrackEntry, Video, Audio, Cluster, Cues, CuePoint, BlockGroup, and the header. */
const innerElements = new Set([
  0x1a45dfa3, 0x18538067, 0x114d9b74, 0x1549a966, 0x1654ae6b, 0xae, 0xe0, 0xe1, 0x1f43b675, 0x1c53bb6b, 0xbb,
  0xa0,
]);

function elements(file: Buffer, from: number, to: number): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  for (let at = from; at + 2 <= to; ) {
    const idBytes = Math.clz32((file[at] ?? 0) << 24) + 1;
    const sizeAt = at + idBytes;
    const sizeBytes = Math.clz32((file[sizeAt] ?? 0) << 24) + 1;
    if (idBytes > 4 || sizeBytes > 6 || sizeAt + sizeBytes > to) break;
    const value = file.readUIntBE(sizeAt, sizeBytes) - 2 ** (7 * sizeBytes);
    const body = sizeAt + sizeBytes;
    const end = Math.min(to, body + value);
    units.push({ start: at, end, size: { at: sizeAt, bytes: sizeBytes, littleEndian: false } });
    if (innerElements.has(file.readUIntBE(at, idBytes))) units.push(...elements(file, body, end));
    at = end;
  }
  return units;
}

/** RIFF and AIFF have type, length; PNG has length, type and a checksum at the end: 4 bytes more. */
function chunks(
  file: Buffer,
  from: number,
  to: number,
  littleEndian: boolean,
  extra: number,
): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  const isPng = extra === 12;
  for (let at = from; at + 8 <= to; ) {
    const sizeAt = isPng ? at : at + 4;
    const bytes = littleEndian ? file.readUInt32LE(sizeAt) : file.readUInt32BE(sizeAt);
    const end = Math.min(to, at + extra + bytes + (isPng ? 0 : bytes % 2));
    units.push({ start: at, end, size: { at: sizeAt, bytes: 4, littleEndian } });
    if (file.toString('latin1', at, at + 4) === 'LIST')
      units.push(...chunks(file, at + 12, end, littleEndian, extra));
    at = end;
  }
  return units;
}

function segments(file: Buffer): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff; ) {
    const end = Math.min(file.length, at + 2 + file.readUInt16BE(at + 2));
    units.push({ start: at, end, size: { at: at + 2, bytes: 2, littleEndian: false } });
    at = end;
  }
  return units;
}

/** The entries of a TIFF's directories, 12 bytes each; the length is the number of values. */
function directoryEntries(file: Buffer): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  let directory = file.readUInt32LE(4);
  for (let pages = 0; pages < 10 && directory > 0 && directory + 2 < file.length; pages += 1) {
    const end = directory + 2 + file.readUInt16LE(directory) * 12;
    if (end + 4 > file.length) break;
    for (let at = directory + 2; at < end; at += 12)
      units.push({ start: at, end: at + 12, size: { at: at + 4, bytes: 4, littleEndian: true } });
    directory = file.readUInt32LE(end);
  }
  return units;
}

function tags(file: Buffer): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  for (let at = 13; at + 11 <= file.length; ) {
    const end = Math.min(file.length, at + 15 + file.readUIntBE(at + 1, 3));
    units.push({ start: at, end, size: { at: at + 1, bytes: 3, littleEndian: false } });
    at = end;
  }
  return units;
}

function objects(file: Buffer, from: number, to: number): readonly MediaUnit[] {
  const units: MediaUnit[] = [];
  for (let at = from; at + 24 <= to; ) {
    const bytes = Math.max(24, Number(file.readBigUInt64LE(at + 16)));
    const end = Math.min(to, at + bytes);
    units.push({ start: at, end, size: { at: at + 16, bytes: 4, littleEndian: true } });
    // Only the header holds other objects, after a count and two reserved bytes.
    if (at === 0) units.push(...objects(file, 30, end));
    at = end;
  }
  return units;
}

function packets(file: Buffer, bytes: number): readonly MediaUnit[] {
  return Array.from({ length: Math.floor(file.length / bytes) }, (_, n) => ({
    start: n * bytes,
    end: (n + 1) * bytes,
  }));
}

function matches(file: Buffer, opening: string): readonly MediaUnit[] {
  const starts: number[] = [];
  for (let at = file.indexOf(opening, 0, 'latin1'); at >= 0; at = file.indexOf(opening, at + 1, 'latin1'))
    starts.push(at);
  return starts.map((start, i) => ({ start, end: starts[i + 1] ?? file.length }));
}
