import { inflateSync } from 'node:zlib';

/** A larger `/Count` belongs to something else than pages. */
const plausiblePages = 10_000;
/** Bounds of what is unpacked: far above what documents of that many pages have. */
const maxStreams = 2000;
const maxUnpackedBytes = 2 ** 24;

/**
 * The number of pages, at least 1: as the last root of the page tree states it, otherwise as many as there
 * are. `content` is the file, a character for each byte.
 */
export function countPages(content: string): number {
  let [pages, largest, stated] = [0, 1, 0];
  for (const object of objectsOf(content)) {
    if (/\/Type\s*\/Page(?![a-zA-Z])/.test(object)) pages += 1;
    // Bookmarks have counts as well.
    if (!/\/Type\s*\/Pages(?![a-zA-Z])/.test(object)) continue;
    const count = Number(/\/Count\s+(\d{1,6})\b/.exec(object)?.[1] ?? 0);
    if (count > plausiblePages) continue;
    largest = Math.max(largest, count);
    // A later version of a document follows the earlier ones.
    if (!object.includes('/Parent')) stated = count;
  }
  // What a file for the web states at its beginning is never encrypted or packed.
  const first = Number(/\/Linearized[^>]*\/N\s+(\d{1,6})\b/.exec(content.slice(0, 1024))?.[1] ?? 0);
  return stated || Math.max(pages, largest, first <= plausiblePages ? first : 0);
}

/** Every object, those of compressed streams too. */
function* objectsOf(content: string): Generator<string> {
  let [streams, bytesLeft] = [0, maxUnpackedBytes];
  for (const object of content.split('endobj')) {
    if (!/\/Type\s*\/ObjStm/.test(object)) {
      yield object;
      continue;
    }
    if (streams === maxStreams || bytesLeft <= 0) continue;
    streams += 1;
    const unpacked = unpack(object, bytesLeft);
    bytesLeft -= unpacked.length;
    const start = Number(/\/First\s+(\d{1,9})\b/.exec(object)?.[1] ?? 0);
    // Pairs of a number and an offset.
    const offsets = (unpacked.slice(0, start).match(/\d+/g) ?? []).filter((_, i) => i % 2 === 1).map(Number);
    for (const [i, offset] of offsets.entries()) {
      yield unpacked.slice(start + offset, start + (offsets[i + 1] ?? unpacked.length));
    }
  }
}

function unpack(object: string, maxOutputLength: number): string {
  const [, begin] = /stream\r?\n/d.exec(object)?.indices?.[0] ?? [];
  const packed = Buffer.from(object.slice(begin ?? object.length, object.lastIndexOf('endstream')), 'latin1');
  try {
    return inflateSync(packed, { maxOutputLength }).toString('latin1');
  } catch {
    // Encrypted, packed otherwise, damaged or too large: the pages in it are not counted.
    return '';
  }
}
