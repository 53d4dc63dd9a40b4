import { setImmediate } from 'node:timers/promises';
import { inflateSync } from 'node:zlib';

/** A larger `/Count` belongs to something else than pages. */
const plausiblePages = 10_000;
/** Bounds of what is unpacked: far above what documents of that many pages have. */
const maxStreams = 2000;
const maxUnpackedBytes = 2 ** 24;
/** What deflate can make of a byte. */
const mostUnpacked = 1032;
/** Of one compressed stream, and the characters that list them; writers put a hundred or two into one. */
const [maxObjects, maxHeaderChars] = [10_000, 2 ** 18];
/** A file can hold millions of empty objects. */
const charsAtOnce = 2 ** 18;

/**
 * The number of pages, at least 1: as the last root of the page tree states it, otherwise as many as there
 * are. `content` is the file, a character for each byte. Other work goes on in between.
 *
 * @throws `signal.reason` on abort
 */
export async function countPages(content: string, signal: AbortSignal): Promise<number> {
  let [pages, largest, stated, chars] = [0, 1, 0, 0];
  for (const object of objectsOf(content)) {
    chars += object.length + end.length;
    if (chars > charsAtOnce) {
      chars = 0;
      await setImmediate();
      signal.throwIfAborted();
    }
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

const end = 'endobj';

/** Every object, those of compressed streams too. */
function* objectsOf(content: string): Generator<string> {
  let [streams, bytesLeft] = [0, maxUnpackedBytes];
  for (let from = 0, to = 0; to >= 0; from = to + end.length) {
    to = content.indexOf(end, from);
    const object = content.slice(from, to < 0 ? undefined : to);
    if (!/\/Type\s*\/ObjStm/.test(object)) {
      yield object;
      continue;
    }
    if (streams === maxStreams || bytesLeft <= 0) continue;
    streams += 1;
    const packed = packedBytes(object);
    const unpacked = unpack(packed, bytesLeft);
    // One that cannot be unpacked may have been almost there.
    bytesLeft -= unpacked.length || packed.length * mostUnpacked;
    const start = Number(/\/First\s+(\d{1,9})\b/.exec(object)?.[1] ?? 0);
    // Pairs of a number and an offset. In order, so that no part is read twice.
    const numbers = unpacked.slice(0, Math.min(start, maxHeaderChars)).match(/\d+/g) ?? [];
    const offsets = numbers.filter((_, i) => i % 2 === 1).map(Number);
    offsets.length = Math.min(offsets.length, maxObjects);
    for (const [i, offset] of offsets.sort((a, b) => a - b).entries()) {
      yield unpacked.slice(start + offset, start + (offsets[i + 1] ?? unpacked.length));
    }
  }
}

function packedBytes(object: string): Buffer {
  const [, begin] = /stream\r?\n/d.exec(object)?.indices?.[0] ?? [];
  return Buffer.from(object.slice(begin ?? object.length, object.lastIndexOf('endstream')), 'latin1');
}

function unpack(packed: Buffer, maxOutputLength: number): string {
  try {
    return inflateSync(packed, { maxOutputLength }).toString('latin1');
  } catch {
    // Encrypted, packed otherwise, damaged or too large: the pages in it are not counted.
    return '';
  }
}
