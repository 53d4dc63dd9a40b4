import { randomUUID } from 'node:crypto';
import { InvalidInputError } from '../index.js';
import { Base64File } from './base64-file.js';
import { bodyTooLarge, HttpError } from './http-error.js';

/** Far more than a question with its files and a schema needs. */
const maxMarks = 20_000;

const code = (character: string) => character.charCodeAt(0);
const quote = code('"');
const backslash = code('\\');
const marks: ReadonlySet<number> = new Set([...',:[{'].map(code));

export interface JsonBodyBounds {
  /** Characters up to which a text is kept, whatever it is. */
  readonly maxTextChars: number;
  /** Bytes of all but the files. */
  readonly maxOtherBytes: number;
  /** How many files there may be. */
  readonly maxFiles: number;
}

/** A text from which on it may be a file that is decoded as it comes. */
const longTextBytes = 64 * 1024;

/**
 * A JSON body as it arrives. Its values are counted, because parsing millions of them costs minutes and gigabytes.
 * Long files in it are decoded piece by piece: as one text, each would hold up all other requests.
 */
export class JsonBody {
  readonly #bounds: JsonBodyBounds;
  /** All but the long files. */
  readonly #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #marks = 0;
  #isText = false;
  #isEscaped = false;
  /** Where the text that is being read begins, in the bytes that are kept. */
  #textStart = 0;
  /** Whether that text is long and no file. */
  #isPlain = false;
  #file: LongFile | undefined;
  readonly #files = new Map<string, LongFile>();

  constructor(bounds: JsonBodyBounds) {
    this.#bounds = bounds;
  }

  /** @throws HttpError 413 once there are too many values, or too much text. */
  add(chunk: Uint8Array): void {
    const texts = new TextEnds(chunk);
    let from = 0;
    for (let at = 0; at < chunk.length; ) {
      if (!this.#isText) {
        const byte = chunk[at] as number;
        at += 1;
        if (byte === quote) {
          this.#isText = true;
          this.#isPlain = false;
          this.#textStart = this.#keptBytes + at - from;
        }
        if (byte === quote || marks.has(byte)) this.#count();
        continue;
      }
      const { end, isEscaped } = texts.after(at, this.#isEscaped);
      this.#isEscaped = isEscaped;
      const longAt = from + longTextBytes - (this.#keptBytes - this.#textStart);
      if (this.#file === undefined && !this.#isPlain && end > longAt) {
        this.#keep(chunk.subarray(from, longAt));
        from = longAt;
        this.#cutOut();
      }
      if (this.#file !== undefined) {
        this.#file.add(chunk.subarray(Math.max(at, from), end));
        from = end;
      }
      if (end < chunk.length) {
        this.#isText = false;
        this.#file?.end();
        this.#file = undefined;
      }
      at = end + 1;
    }
    this.#keep(chunk.subarray(from));
  }

  /**
   * The value. Where a long file was, there is a name, under which `files` has it.
   *
   * @throws InvalidInputError if the body is not JSON.
   */
  end(): unknown {
    try {
      return JSON.parse(Buffer.concat(this.#kept).toString('utf8'));
    } catch (cause) {
      throw new InvalidInputError('The body is not valid JSON.', { cause });
    }
  }

  get files(): ReadonlyMap<string, LongFile> {
    return this.#files;
  }

  #count(): void {
    this.#marks += 1;
    if (this.#marks <= maxMarks) return;
    throw new HttpError(
      413,
      'TOO_MANY_VALUES',
      'The JSON body holds too many values. Send a question with its files only.',
    );
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#kept.push(bytes);
    this.#keptBytes += bytes.byteLength;
    const { maxFiles, maxOtherBytes } = this.#bounds;
    // Short files are kept as they are.
    if (this.#keptBytes > maxOtherBytes + maxFiles * longTextBytes) throw bodyTooLarge(maxOtherBytes);
  }

  /** Takes the text that is being read out of what is kept, if it may be a file. */
  #cutOut(): void {
    const begin: Uint8Array[] = [];
    while (this.#keptBytes > this.#textStart) {
      const last = this.#kept.pop() as Uint8Array;
      const before = Math.max(0, this.#textStart - (this.#keptBytes - last.byteLength));
      this.#keptBytes -= last.byteLength;
      if (before > 0) this.#keep(last.subarray(0, before));
      begin.unshift(last.subarray(before));
    }
    const file = LongFile.from(Buffer.concat(begin), this.#bounds.maxTextChars);
    if (file === undefined) {
      this.#isPlain = true;
      for (const piece of begin) this.#keep(piece);
      return;
    }
    const name = randomUUID();
    this.#file = file;
    this.#files.set(name, file);
    this.#keep(Buffer.from(name));
  }
}

/** Finds where texts end. Looks at each byte of the chunk about once, however many texts it has. */
class TextEnds {
  readonly #chunk: Uint8Array;
  #quoteAt = -1;
  #backslashAt = -1;

  constructor(chunk: Uint8Array) {
    this.#chunk = chunk;
  }

  /** The closing quote of the text that goes on at `from`, or the end of the chunk. */
  after(from: number, isEscaped: boolean): { readonly end: number; readonly isEscaped: boolean } {
    let at = isEscaped ? from + 1 : from;
    for (;;) {
      if (this.#quoteAt < at) this.#quoteAt = this.#find(quote, at);
      if (this.#backslashAt < at) this.#backslashAt = this.#find(backslash, at);
      if (this.#quoteAt <= this.#backslashAt) return { end: this.#quoteAt, isEscaped: false };
      at = this.#backslashAt + 2;
      if (at > this.#chunk.length) return { end: this.#chunk.length, isEscaped: true };
    }
  }

  #find(byte: number, from: number): number {
    const at = this.#chunk.indexOf(byte, from);
    return at < 0 ? this.#chunk.length : at;
  }
}

/** An escape at the end of a piece that may go on in the next. */
const openEscape = /\\(?:u[\da-f]{0,3})?$/i;

/** What may be a file in a JSON text. Some of its characters may be escaped: `\\/` and `\\u002B` are common. */
export class LongFile {
  readonly file: Base64File;
  /** An escape that is not complete. */
  #open: string;
  #text: string | undefined;
  readonly #maxTextChars: number;

  private constructor(begin: string, open: string, maxTextChars: number) {
    this.file = new Base64File(begin);
    this.#open = open;
    this.#text = begin;
    this.#maxTextChars = maxTextChars;
  }

  /** Undefined if the text is no file. */
  static from(begin: Uint8Array, maxTextChars: number): LongFile | undefined {
    const { open, text } = unescaped(latin1(begin));
    const isLike = text !== undefined && Base64File.isLike(text);
    return isLike ? new LongFile(text, open, maxTextChars) : undefined;
  }

  /** The text as it was, for a field that holds no file; undefined if it is too long for one. */
  get text(): string | undefined {
    return this.#text;
  }

  add(bytes: Uint8Array): void {
    const { open, text } = unescaped(this.#open + latin1(bytes));
    this.#open = open;
    this.file.add(text);
    const whole = text === undefined || this.#text === undefined ? undefined : this.#text + text;
    this.#text = whole !== undefined && whole.length <= this.#maxTextChars ? whole : undefined;
  }

  end(): void {
    if (this.#open !== '') this.file.add(undefined);
  }
}

const latin1 = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

function unescaped(raw: string): { readonly text: string | undefined; readonly open: string } {
  if (!raw.includes('\\')) return { text: raw, open: '' };
  const open = openEscape.exec(raw)?.[0] ?? '';
  try {
    return { text: JSON.parse(`"${raw.slice(0, raw.length - open.length)}"`) as string, open };
  } catch {
    // No JSON, and so no base64.
    return { text: undefined, open: '' };
  }
}
