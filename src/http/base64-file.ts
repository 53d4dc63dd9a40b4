/** What stands before the bytes in a `data:` URL. */
const dataUrlPattern = /^data:([\w.+-]+\/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,/i;
const longestPrefix = 1000;
const base64Pattern = /^[\w+/-]*={0,2}$/;
/** The last characters may be padding. */
const heldBack = 4;
/** However small the pieces are in which the text comes. */
const fewestChars = 16 * 1024;

/** The bytes of a file, in order. */
export interface FileContent {
  readonly pieces: readonly Uint8Array[];
  readonly byteLength: number;
}

/** A file in base64, or a `data:` URL of one, which is decoded as it comes. */
export class Base64File {
  readonly mimeType: string | undefined;
  /** Characters of the whole text. */
  length = 0;
  readonly #pieces: Uint8Array[] = [];
  #byteLength = 0;
  #rest: string;
  #isBroken = false;

  /** @param begin The text so far: whole, or followed by what is given to `add`. */
  constructor(begin: string) {
    this.length = begin.length;
    const [prefix = '', mimeType] = dataUrlPattern.exec(begin.slice(0, longestPrefix)) ?? [];
    this.mimeType = mimeType;
    this.#rest = prefix === '' ? begin : begin.slice(prefix.length);
    this.#decodeWhole();
  }

  /** Whether a text, or its begin, may be a file. */
  static isLike(begin: string): boolean {
    const [prefix = ''] = dataUrlPattern.exec(begin.slice(0, longestPrefix)) ?? [];
    return base64Pattern.test(begin.slice(prefix.length));
  }

  /** @param text What follows; undefined if it is no text at all. */
  add(text: string | undefined): void {
    this.#isBroken ||= text === undefined;
    this.#rest += text ?? '';
    this.length += text?.length ?? 0;
    this.#decodeWhole();
  }

  /** The bytes; undefined if the text is not base64. */
  end(): FileContent | undefined {
    const padding = /={0,2}$/.exec(this.#rest.slice(-2))?.[0].length ?? 0;
    if (this.#rest.length % 4 > 0) return undefined;
    this.#decode(this.#rest.length, padding);
    return this.#isBroken ? undefined : { pieces: this.#pieces, byteLength: this.#byteLength };
  }

  #decodeWhole(): void {
    const whole = this.#rest.length - heldBack;
    if (whole >= fewestChars) this.#decode(whole - (whole % 4), 0);
  }

  /** A pattern would take longer than decoding, which skips what is no base64. */
  #decode(length: number, padding: number): void {
    const bytes = Buffer.from(this.#rest.slice(0, length), 'base64');
    this.#isBroken ||= bytes.length !== (length / 4) * 3 - padding;
    this.#rest = this.#rest.slice(length);
    this.#byteLength += bytes.length;
    this.#pieces.push(bytes);
  }
}
