import type { MediaSample } from './media-samples.js';
import { findUnits } from './media-units.js';
import { seededRandom } from './seeded-random.js';

/** A damaged sample. */
export interface Mutant {
  /** The name of the sample that it was made of. */
  readonly name: string;
  readonly bytes: Buffer;
  /** What was done to it, in order. */
  readonly changes: readonly string[];
}

/** A number below `limit`. */
type Pick = (limit: number) => number;
type Mutation = (file: Buffer, pick: Pick, samples: readonly MediaSample[]) => Buffer;

const maxChanges = 4;
/** Most fields that steer a reader lie in front. */
const headBytes = 512;

/** Mutant `index` of a seed: always the same for the same samples. */
export function makeMutant(samples: readonly MediaSample[], seed: number, index: number): Mutant {
  // Spread, because the first numbers of neighboring seeds are much alike.
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const pick: Pick = (limit) => Math.floor(random() * limit);
  const sample = samples[index % samples.length];
  if (!sample) throw new Error('There are no samples.');
  const names = Object.keys(mutations);
  let bytes: Buffer = Buffer.from(sample.bytes);
  const changes: string[] = [];
  for (
    let left = 1 + Math.min(pick(maxChanges), pick(maxChanges));
    left > 0 && bytes.length > 32;
    left -= 1
  ) {
    const change = names[pick(names.length)] ?? '';
    const changed = mutations[change]?.(bytes, pick, samples) ?? bytes;
    if (!changed.equals(bytes)) changes.push(change);
    bytes = changed;
  }
  if (pick(2) === 0) repairChecksums(bytes);
  return { name: sample.name, bytes, changes };
}

const offset = (file: Buffer, pick: Pick) => pick(pick(2) ? file.length : Math.min(headBytes, file.length));

/** Two places in order, no further apart than a quarter of the file most of the time. */
function block(file: Buffer, pick: Pick): readonly [number, number] {
  const start = offset(file, pick);
  const most = pick(4) ? Math.ceil(file.length / 4) : file.length;
  return [start, Math.min(file.length, start + 1 + pick(most))];
}

const mutations: Readonly<Record<string, Mutation>> = {
  'flip bits': (file, pick) => {
    const out = Buffer.from(file);
    for (let left = 1 + pick(8); left > 0; left -= 1) {
      const at = offset(out, pick);
      out[at] = (out[at] ?? 0) ^ (1 << pick(8));
    }
    return out;
  },
  'set bytes': (file, pick) => {
    const out = Buffer.from(file);
    for (let left = 1 + pick(8); left > 0; left -= 1) out[offset(out, pick)] = pick(256);
    return out;
  },
  'set an integer': (file, pick) => {
    const out = Buffer.from(file);
    const bytes = [1, 2, 3, 4, 6][pick(5)] ?? 1;
    writeExtreme(out, { at: Math.min(offset(out, pick), out.length - bytes), bytes }, pick);
    return out;
  },
  'fill a block': (file, pick) => {
    const [start, end] = block(file, pick);
    return Buffer.from(file).fill([0, 0xff, 0x41, 0x11][pick(4)] ?? 0, start, end);
  },
  'delete a block': (file, pick) => {
    const [start, end] = block(file, pick);
    return Buffer.concat([file.subarray(0, start), file.subarray(end)]);
  },
  'repeat a block': (file, pick) => {
    const [start, end] = block(file, pick);
    const copies = Array.from({ length: 1 + pick(4) }, () => file.subarray(start, end));
    return Buffer.concat([file.subarray(0, end), ...copies, file.subarray(end)]);
  },
  'swap two blocks': (file, pick) => {
    const [a, b, c] = [offset(file, pick), offset(file, pick), offset(file, pick)].sort((x, y) => x - y);
    return Buffer.concat([file.subarray(0, a), file.subarray(b, c), file.subarray(a, b), file.subarray(c)]);
  },
  'cut off the end': (file, pick) => file.subarray(0, 16 + pick(file.length - 16)),
  'go on as another file': (file, pick, samples) => {
    const other = samples[pick(samples.length)]?.bytes ?? file;
    return Buffer.concat([file.subarray(0, 16 + pick(file.length - 16)), other.subarray(pick(other.length))]);
  },
  'resize a unit': (file, pick) => {
    const { size } = pickUnit(file, pick);
    if (!size) return file;
    const out = Buffer.from(file);
    writeExtreme(out, size, pick);
    return out;
  },
  'delete a unit': (file, pick) => {
    const { start, end } = pickUnit(file, pick);
    return Buffer.concat([file.subarray(0, start), file.subarray(end)]);
  },
  'repeat a unit': (file, pick) => {
    const { start, end } = pickUnit(file, pick);
    const copies = Array.from({ length: 1 + pick(20) }, () => file.subarray(start, end));
    return Buffer.concat([file.subarray(0, end), ...copies, file.subarray(end)]);
  },
  'move a unit': (file, pick) => {
    const { start, end } = pickUnit(file, pick);
    const rest = Buffer.concat([file.subarray(0, start), file.subarray(end)]);
    const to = pickUnit(rest, pick).start;
    return Buffer.concat([rest.subarray(0, to), file.subarray(start, end), rest.subarray(to)]);
  },
  'set fields of a unit': (file, pick) => {
    const { start, end } = pickUnit(file, pick);
    const out = Buffer.from(file);
    for (let left = 1 + pick(3); left > 0; left -= 1) {
      const bytes = [1, 2, 4][pick(3)] ?? 1;
      const at = Math.min(start + pick(Math.min(end - start, 128)), out.length - bytes);
      writeExtreme(out, { at, bytes }, pick);
    }
    return out;
  },
};

function pickUnit(file: Buffer, pick: Pick) {
  const units = findUnits(file);
  return units[pick(units.length)] ?? { start: 0, end: 0, size: undefined };
}

/** A number at which arithmetic tends to break. */
function writeExtreme(
  file: Buffer,
  { at, bytes, littleEndian }: { at: number; bytes: number; littleEndian?: boolean },
  pick: Pick,
): void {
  const largest = 2 ** (8 * bytes) - 1;
  const half = 2 ** (8 * bytes - 1);
  const old = littleEndian ? file.readUIntLE(at, bytes) : file.readUIntBE(at, bytes);
  const values = [0, 1, 2, 7, 8, largest, largest - 1, half, half - 1, old + 1, old - 1, old * 2, old ^ half];
  const value = Math.min(largest, Math.max(0, values[pick(values.length)] ?? 0));
  if (littleEndian ?? pick(2)) file.writeUIntLE(value, at, bytes);
  else file.writeUIntBE(value, at, bytes);
}

/** Puts the checksums of a PNG right, without which nothing behind them is ever looked at. */
function repairChecksums(file: Buffer): void {
  if (file.toString('latin1', 1, 4) !== 'PNG') return;
  for (const { start, end } of findUnits(file))
    if (end - start >= 12) file.writeUInt32BE(crc32(file.subarray(start + 4, end - 4)), end - 4);
}

/** As PNG and others compute it. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
