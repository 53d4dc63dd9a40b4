import { type ByteComparison, largestComponent, plainComparison, simdComparison } from './compare-bytes.js';

let comparison: ByteComparison | undefined;

/** Components that SIMD takes at a time; shorter queries are filled with zeros. */
const componentsAtATime = 8;

/**
 * The vectors of one conversation, a row per document, compared with a query one by one: exact, and
 * fast enough for many thousands. In memory as on disk they are bytes with a scale for each row.
 */
export class VectorTable {
  readonly dimensions: number;
  readonly #rowBytes: number;
  /** Packed vectors, a row for each document. */
  #rows = new Uint8Array(0);
  /** NaN if a document has no vector. */
  #scales = new Float32Array(0);
  #count = 0;

  constructor(dimensions: number) {
    this.dimensions = dimensions;
    this.#rowBytes = packedBytes(dimensions);
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
    const rowBytes = this.#rowBytes;
    const end = document + packed.length / rowBytes;
    if (end > this.#scales.length) this.#grow(end, documents);
    this.#rows.set(packed, document * rowBytes);
    const view = new DataView(packed.buffer, packed.byteOffset);
    const scales = this.#scales;
    let added = 0;
    for (let at = document, from = 0; at < end; at++, from += rowBytes) {
      if (Number.isNaN(scales[at])) added++;
      scales[at] = view.getFloat32(from, true);
    }
    this.#count += added;
  }

  /** The cosine of the query with each document's vector; NaN if a document has none. */
  score(query: Float32Array, documents: number): Float64Array {
    const last = Math.min(documents, this.#scales.length);
    const scores = new Float64Array(documents).fill(Number.NaN, last);
    const shorts = new Int16Array(Math.ceil(this.dimensions / componentsAtATime) * componentsAtATime);
    const scale = quantize(query, shorts, largestComponent(shorts.length));
    comparison ??= simdComparison() ?? plainComparison;
    const components = new Int8Array(this.#rows.buffer, scaleBytes);
    const products = comparison.compare({ components, rows: last, rowBytes: this.#rowBytes }, shorts);
    for (let document = 0; document < last; document++) {
      scores[document] = (products[document] as number) * (this.#scales[document] as number) * scale;
    }
    return scores;
  }

  #grow(least: number, likely: number): void {
    const capacity = Math.max(16, least, likely, Math.ceil(this.#scales.length * 1.5));
    const rows = new Uint8Array(capacity * this.#rowBytes);
    rows.set(this.#rows);
    const scales = new Float32Array(capacity).fill(Number.NaN);
    scales.set(this.#scales);
    this.#rows = rows;
    this.#scales = scales;
  }
}

const scaleBytes = 4;

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
  const scale = quantize(vector, new Int8Array(packed.buffer, scaleBytes), 127);
  new DataView(packed.buffer).setFloat32(0, scale, true);
  return packed;
}

/** Rounds to whole numbers up to `largest`; returns the factor that restores them. */
function quantize(vector: Float32Array, into: Int8Array | Int16Array, largest: number): number {
  let most = 0;
  for (const component of vector) most = Math.max(most, Math.abs(component));
  const scale = most / largest;
  if (scale > 0)
    vector.forEach((component, at) => {
      into[at] = Math.round(component / scale);
    });
  return scale;
}
