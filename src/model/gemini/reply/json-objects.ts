/** Longer text that is no JSON is not kept. */
const maxOtherCharacters = 64 * 1024;

/**
 * Finds whole JSON objects in text without frames: one object, a list of them, or one a line. Text that is
 * no list of objects, such as an HTML page, is collected as `other`.
 */
export class JsonObjects {
  #object = '';
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #other = '';
  #isOther = false;

  /** The objects that end in this text. */
  push(text: string): readonly string[] {
    const found: string[] = [];
    let start = 0;
    for (let index = 0; index < text.length && !this.#isOther; index++) {
      const character = text[index];
      if (this.#isInString) this.#readInString(character);
      else if (character === '"' && this.#depth > 0) this.#isInString = true;
      else if (character === '{') {
        if (this.#depth === 0) {
          this.#addOther(text.slice(start, index));
          start = index;
          if (this.#isOther) break;
        }
        this.#depth += 1;
      } else if (character === '}' && this.#depth > 0) {
        this.#depth -= 1;
        if (this.#depth > 0) continue;
        found.push(this.#object + text.slice(start, index + 1));
        this.#object = '';
        start = index + 1;
      }
    }
    const rest = text.slice(start);
    if (this.#depth > 0) this.#object += rest;
    else this.#addOther(rest);
    return found;
  }

  /** Text between and after objects, without the punctuation of a list. */
  get other(): string {
    return this.#other.replace(/^[\s,[\]]+|[\s,[\]]+$/g, '');
  }

  /** Whether an object has begun and not ended. */
  get isInside(): boolean {
    return this.#depth > 0;
  }

  #addOther(text: string): void {
    this.#isOther ||= /[^\s,[\]]/.test(text);
    if (this.#other.length < maxOtherCharacters) this.#other += text;
  }

  #readInString(character: string | undefined): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (character === '\\') this.#isEscaped = true;
    else if (character === '"') this.#isInString = false;
  }
}
