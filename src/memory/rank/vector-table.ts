/**
 * The vectors of one conversation, a row per document, compared with a query one by one: exact, and
 * fast enough for many thousands. In memory they are 32-bit floats, whose products plain JavaScript
 * does three times as fast as those of bytes; stored they are bytes, which a quarter of the disk holds.
 */
export class VectorTable {
  readonly dimensions: number;
  #rows = new Float32Array(0);
  #known = new Uint8Array(0);
  #count = 0;

  constructor(dimensions: number) {
    this.dimensions = dimensions;
  }

  /** How many documents have a vector. */
  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#rows.byteLength + this.#known.byteLength;
  }

  has(document: number): boolean {
    return this.#known[document] === 1;
  }

  set(document: number, packed: Uint8Array): void {
    if (document >= this.#known.length) this.#grow(document + 1);
    if (!this.has(document)) this.#count++;
    this.#known[document] = 1;
    this.#rows.set(unpackVector(packed), document * this.dimensions);
  }

  /** The cosine of the query with each document's vector; NaN where a document has none. */
  score(query: Float32Array, documents: number): Float64Array {
    const scores = new Float64Array(documents).fill(Number.NaN);
    const last = Math.min(documents, this.#known.length);
    for (let document = 0; document < last; document++) {
      if (this.#known[document] === 1) scores[document] = product(this.#rows, document, query);
    }
    return scores;
  }

  #grow(documents: number): void {
    const capacity = Math.max(16, documents, Math.ceil(this.#known.length * 1.5));
    const rows = new Float32Array(capacity * this.dimensions);
    rows.set(this.#rows);
    const known = new Uint8Array(capacity);
    known.set(this.#known);
    this.#rows = rows;
    this.#known = known;
  }
}

/** Four sums side by side, which do not wait for one another. */
function product(rows: Float32Array, row: number, query: Float32Array): number {
  const size = query.length;
  const start = row * size;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = 0;
  for (; at + 3 < size; at += 4) {
    const from = start + at;
    a += (rows[from] as number) * (query[at] as number);
    b += (rows[from + 1] as number) * (query[at + 1] as number);
    c += (rows[from + 2] as number) * (query[at + 2] as number);
    d += (rows[from + 3] as number) * (query[at + 3] as number);
  }
  for (; at < size; at++) a += (rows[start + at] as number) * (query[at] as number);
  return a + b + c + d;
}

/**
 * A vector as it is stored: its scale as a 32-bit float (little endian), then a signed byte a
 * component. Rounding to 1/127 of the largest component moves a cosine by well under 0.01.
 */
export function packVector(vector: Float32Array): Uint8Array {
  let largest = 0;
  for (const component of vector) largest = Math.max(largest, Math.abs(component));
  const scale = largest / 127;
  const packed = new Uint8Array(4 + vector.length);
  new DataView(packed.buffer).setFloat32(0, scale, true);
  const components = new Int8Array(packed.buffer, 4);
  for (let at = 0; at < vector.length; at++) {
    components[at] = scale > 0 ? Math.round((vector[at] as number) / scale) : 0;
  }
  return packed;
}

function unpackVector(packed: Uint8Array): Float32Array {
  const scale = new DataView(packed.buffer, packed.byteOffset).getFloat32(0, true);
  const components = new Int8Array(packed.buffer, packed.byteOffset + 4, packed.byteLength - 4);
  const vector = new Float32Array(components.length);
  for (let at = 0; at < vector.length; at++) vector[at] = (components[at] as number) * scale;
  return vector;
}
