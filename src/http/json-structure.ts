import { HttpError } from './http-error.js';

/** Far more than a question with its files and a schema needs. */
const maxMarks = 10_000;

const code = (character: string) => character.charCodeAt(0);
const quote = code('"');
const backslash = code('\\');
const marks: ReadonlySet<number> = new Set([...',:[{'].map(code));

/** Counts the values of a JSON text as it arrives: parsing millions of them costs minutes and gigabytes. */
export class JsonStructure {
  #count = 0;
  #isText = false;
  #isEscaped = false;

  /** @throws HttpError 413 once there are too many values. */
  add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === quote) this.#isText = !this.#isText;
      else if (this.#isText) this.#isEscaped = byte === backslash;
      else if (marks.has(byte)) this.#count += 1;
    }
    if (this.#count > maxMarks) {
      throw new HttpError(
        413,
        'TOO_MANY_VALUES',
        'The JSON body holds too many values. Send a question with its files only.',
      );
    }
  }
}
