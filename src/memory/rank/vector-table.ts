/**
 * The vectors of one conversation, a row per document, compared with a query one by one: exact, and
 * fast enough for many thousands. In memory as on disk they are bytes with a scale for each row.
 */
export class VectorTable {
  readonly dimensions: number;
  readonly #rowBytes: number;
  /** A row of bytes for each document, filled up with zeros to whole words of 32 bits. */
  #rows = new Int8Array(0);
  /** NaN if a document has no vector. */
  #scales = new Float32Array(0);
  #count = 0;

  constructor(dimensions: number) {
    this.dimensions = dimensions;
    this.#rowBytes = Math.ceil(dimensions / bytesPerWord) * bytesPerWord;
  }

  /** How many documents have a vector. */
  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#rows.byteLength + this.#scales.byteLength;
  }

  has(document: number): boolean {
    return !Number.isNaN(this.#scales[document] ?? Number.NaN);
  }

  /**
   * Sets the vector of a document, or of several that follow one another.
   *
   * @param documents The expected number of them, so that memory is allocated once.
   */
  set(document: number, packed: Uint8Array, documents = 0): void {
    const size = packedBytes(this.dimensions);
    const end = document + packed.length / size;
    if (end > this.#scales.length) this.#grow(end, documents);
    const view = new DataView(packed.buffer, packed.byteOffset);
    const scales = this.#scales;
    for (let at = document, from = 0; at < end; at++, from += size) {
      if (Number.isNaN(scales[at])) this.#count++;
      scales[at] = view.getFloat32(from, true);
      this.#rows.set(packed.subarray(from + scaleBytes, from + size), at * this.#rowBytes);
    }
  }

  /** The cosine of the query with each document's vector; NaN if a document has none. */
  score(query: Float32Array, documents: number): Float64Array {
    const last = Math.min(documents, this.#scales.length);
    const scores = new Float64Array(documents).fill(Number.NaN, last);
    const integers = new Int32Array(this.#rowBytes);
    // Small enough that no sum exceeds 32 bits.
    const scale = quantize(query, integers, Math.floor((2 ** 31 - 1) / (largestComponent * integers.length)));
    multiplyRows(new Int32Array(this.#rows.buffer), integers, scores.subarray(0, last));
    for (let document = 0; document < last; document++) {
      scores[document] = (scores[document] as number) * (this.#scales[document] as number) * scale;
    }
    return scores;
  }

  #grow(least: number, likely: number): void {
    const capacity = Math.max(16, least, likely, Math.ceil(this.#scales.length * 1.5));
    const rows = new Int8Array(capacity * this.#rowBytes);
    rows.set(this.#rows);
    const scales = new Float32Array(capacity).fill(Number.NaN);
    scales.set(this.#scales);
    this.#rows = rows;
    this.#scales = scales;
  }
}

const scaleBytes = 4;
const bytesPerWord = 4;
const largestComponent = 127;

/** Bytes of a vector as `packVector` writes it. */
export function packedBytes(dimensions: number): number {
  return scaleBytes + dimensions;
}

/**
 * A vector as it is stored: its scale as a 32-bit float (little endian), then a signed byte a
 * component. Rounding to 1/127 of the largest component moves a cosine by well under 0.01.
 */
export function packVector(vector: Float32Array): Uint8Array {
  const packed = new Uint8Array(packedBytes(vector.length));
  const scale = quantize(vector, new Int8Array(packed.buffer, scaleBytes), largestComponent);
  new DataView(packed.buffer).setFloat32(0, scale, true);
  return packed;
}

/** Rounds to whole numbers up to `largest`; returns the factor that restores them. */
function quantize(vector: Float32Array, into: Int8Array | Int32Array, largest: number): number {
  let most = 0;
  for (const component of vector) most = Math.max(most, Math.abs(component));
  const scale = most / largest;
  if (scale > 0)
    vector.forEach((component, at) => {
      into[at] = Math.round(component / scale);
    });
  return scale;
}

/**
 * The product of the query with each row of bytes, four to a word of 32 bits (little endian). Two rows share
 * the loads of the query, and each word is one load: twice as fast as byte by byte.
 */
function multiplyRows(rows: Int32Array, query: Int32Array, products: Float64Array): void {
  const words = query.length / bytesPerWord;
  for (let row = 0; row < products.length; row += 2) {
    const one = row * words;
    // The last row of an odd number is multiplied with itself.
    const other = row + 1 < products.length ? one + words : one;
    let a = 0;
    let b = 0;
    for (let at = 0, from = 0; at < words; at++, from += bytesPerWord) {
      const x = rows[one + at] as number;
      const y = rows[other + at] as number;
      const q0 = query[from] as number;
      const q1 = query[from + 1] as number;
      const q2 = query[from + 2] as number;
      const q3 = query[from + 3] as number;
      a = (a + Math.imul((x << 24) >> 24, q0) + Math.imul((x << 16) >> 24, q1)) | 0;
      a = (a + Math.imul((x << 8) >> 24, q2) + Math.imul(x >> 24, q3)) | 0;
      b = (b + Math.imul((y << 24) >> 24, q0) + Math.imul((y << 16) >> 24, q1)) | 0;
      b = (b + Math.imul((y << 8) >> 24, q2) + Math.imul(y >> 24, q3)) | 0;
    }
    products[row] = a;
    if (other > one) products[row + 1] = b;
  }
}
