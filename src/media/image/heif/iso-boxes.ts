/** One box of an ISO base media file. */
export interface IsoBox {
  readonly type: string;
  /** What is inside, without the header. */
  readonly content: ByteReader;
}

/** Far above what a file of one picture has. */
const mostBoxes = 20_000;

/** Reads big-endian numbers in sequence. Reading past the end means a damaged file. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.byteLength - this.#at;
  }

  /** An unsigned number of 0 to 8 bytes; one of no bytes is 0. @throws RangeError */
  number(bytes: number): number {
    let value = 0;
    for (const byte of this.take(bytes)) value = value * 256 + byte;
    return value;
  }

  /** @throws RangeError */
  signed32(): number {
    const value = this.#view.getInt32(this.#at);
    this.#at += 4;
    return value;
  }

  text(bytes: number): string {
    return String.fromCharCode(...this.take(bytes));
  }

  /** @throws RangeError */
  take(bytes: number): Uint8Array {
    if (bytes > this.left) throw new RangeError(`${bytes} bytes are wanted where ${this.left} are left.`);
    this.#at += bytes;
    return this.bytes.subarray(this.#at - bytes, this.#at);
  }

  /** The version and flags that begin a full box. */
  fullHeader(): { readonly version: number; readonly flags: number } {
    return { version: this.number(1), flags: this.number(3) };
  }

  /** The boxes that fill what is left. @throws RangeError */
  *boxes(): Generator<IsoBox, void, undefined> {
    for (let found = 0; this.left >= 8; found += 1) {
      if (found === mostBoxes) throw new RangeError('Too many boxes.');
      const size = this.number(4);
      const type = this.text(4);
      // 1: a longer size follows; 0: the box extends to the end.
      const bytes = size === 1 ? this.number(8) - 16 : size === 0 ? this.left : size - 8;
      if (bytes < 0) throw new RangeError(`A box "${type}" of ${size} bytes.`);
      yield { type, content: new ByteReader(this.take(bytes)) };
    }
  }
}
