/**
 * Products of one query with many rows of bytes. Plain JavaScript takes 2 ns a component, which is
 * most of a recall; SIMD takes a tenth of that. Both give the same integers.
 */
export interface ByteComparison {
  /** The length of the query is a multiple of 8; gives one product a row. */
  compare(table: ByteTable, query: Int16Array): Int32Array;
}

interface ByteTable {
  readonly components: Int8Array;
  readonly rows: number;
  /** From the beginning of a row to that of the next. If a query is longer than a row, its end is zeros. */
  readonly rowBytes: number;
}

/** The largest component a query may have without a sum over all components exceeding 32 bits. */
export function largestComponent(size: number): number {
  return Math.min(32_767, Math.floor((2 ** 31 - 1) / (128 * size)));
}

export const plainComparison: ByteComparison = {
  compare({ components, rows, rowBytes }, query) {
    const products = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      const start = row * rowBytes;
      const size = Math.min(query.length, components.length - start);
      let sum = 0;
      for (let at = 0; at < size; at++) sum += (components[start + at] as number) * (query[at] as number);
      products[row] = sum;
    }
    return products;
  },
};

/** 64 KiB each; together they stay in the second-level cache. */
const memoryPages = 8;
const memoryBytes = memoryPages * 65_536;

const ascii = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));
const sized = (bytes: readonly number[]): number[] =>
  // LEB128, of which two bytes are enough for this module.
  bytes.length < 128 ? [bytes.length, ...bytes] : [(bytes.length & 127) | 128, bytes.length >> 7, ...bytes];
const section = (id: number, ...bytes: readonly number[]): number[] => [id, ...sized(bytes)];

const i32 = 0x7f;
const v128 = 0x7b;
const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const setAndKeep = (local: number): number[] => [0x22, local];
const constant = (value: number): number[] => [0x41, value];
const loop = [0x03, 0x40];
const end = 0x0b;
const repeatIfTrue = [0x0d, 0x00];
const add = 0x6a;
const subtract = 0x6b;
const shiftLeft = 0x74;
const lessThan = 0x49;
const store = [0x36, 0x02, 0x00];
const noVector = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];
const loadBytesAsShorts = [0xfd, 0x01, 0x03, 0x00];
const loadShorts = [0xfd, 0x00, 0x04, 0x00];
const productsOfShorts = [0xfd, 0xba, 0x01];
const addIntegers = [0xfd, 0xae, 0x01];
const lane = (index: number): number[] => [0xfd, 0x1b, index];

// Parameters, then the variables of the function.
const [row, query, out, rowsLeft, size, rowBytes, at, sum] = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** The encoding is that of https://webassembly.github.io/spec/core/binary/ */
const simdModule = Uint8Array.from([
  ...ascii('\0asm'),
  ...[1, 0, 0, 0],
  ...section(1, 1, 0x60, 6, i32, i32, i32, i32, i32, i32, 0),
  ...section(3, 1, 0),
  ...section(5, 1, 0, memoryPages),
  ...section(7, 2, ...sized(ascii('memory')), 2, 0, ...sized(ascii('compare')), 0, 0),
  ...section(
    10,
    1,
    ...sized([
      ...[2, 1, i32, 1, v128],
      ...loop,
      ...[...constant(0), ...set(at), ...noVector, ...set(sum)],
      ...loop,
      ...get(sum),
      ...[...get(row), ...get(at), add, ...loadBytesAsShorts],
      ...[...get(query), ...get(at), ...constant(1), shiftLeft, add, ...loadShorts],
      ...[...productsOfShorts, ...addIntegers, ...set(sum)],
      ...[...get(at), ...constant(8), add, ...setAndKeep(at), ...get(size), lessThan, ...repeatIfTrue],
      end,
      ...get(out),
      ...[...get(sum), ...lane(0), ...get(sum), ...lane(1), add],
      ...[...get(sum), ...lane(2), add, ...get(sum), ...lane(3), add],
      ...store,
      ...[...get(out), ...constant(4), add, ...set(out)],
      ...[...get(row), ...get(rowBytes), add, ...set(row)],
      ...[...get(rowsLeft), ...constant(1), subtract, ...setAndKeep(rowsLeft), ...repeatIfTrue],
      end,
      end,
    ]),
  ),
]);

/** The comparison by SIMD; undefined if the processor has none. Not for use in parallel. */
export function simdComparison(): ByteComparison | undefined {
  let instance: WebAssembly.Instance;
  try {
    instance = new WebAssembly.Instance(new WebAssembly.Module(simdModule));
  } catch {
    return undefined;
  }
  const { buffer } = instance.exports.memory as WebAssembly.Memory;
  const run = instance.exports.compare as (...parameters: number[]) => void;
  return {
    compare(table, query) {
      const { components, rows, rowBytes } = table;
      const { length: size, byteLength: queryBytes } = query;
      // The last row is read to the length of the query.
      const rowsAtATime = Math.floor((memoryBytes - queryBytes - size) / (rowBytes + 4));
      if (rowsAtATime <= 0) return plainComparison.compare(table, query);
      const products = new Int32Array(rows);
      new Int16Array(buffer, 0, size).set(query);
      const firstRow = queryBytes + rowsAtATime * 4;
      const found = new Int32Array(buffer, queryBytes, rowsAtATime);
      for (let from = 0; from < rows; from += rowsAtATime) {
        const count = Math.min(rowsAtATime, rows - from);
        const portion = components.subarray(from * rowBytes, (from + count) * rowBytes);
        new Int8Array(buffer, firstRow).set(portion);
        run(firstRow, 0, queryBytes, count, size, rowBytes);
        products.set(found.subarray(0, count), from);
      }
      return products;
    },
  };
}
