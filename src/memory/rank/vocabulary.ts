/**
 * Numbers the words of a conversation in the order in which they first occur. Reads each word where it
 * stands in the text: to cut out all words of thousands of turns takes twice as long.
 */
export class Vocabulary {
  readonly #words: string[] = [];
  readonly #hashes: number[] = [];
  /** Open addressing by hash; number plus 1, or 0 for an empty slot. */
  #slots = new Int32Array(2 ** 10);

  get words(): readonly string[] {
    return this.#words;
  }

  /** The number of the word between two places of a text; a new one if it was not seen before. */
  numberOf(text: string, from: number, to: number): number {
    const hash = hashOf(text, from, to);
    const known = this.#find(hash, text, from, to);
    if (known >= 0) return known;
    this.#hashes.push(hash);
    const number = this.#words.push(text.slice(from, to)) - 1;
    if (this.#words.length * 2 > this.#slots.length) this.#grow();
    else this.#place(number);
    return number;
  }

  /** The number of a word, or -1. */
  find(word: string): number {
    return this.#find(hashOf(word, 0, word.length), word, 0, word.length);
  }

  #find(hash: number, text: string, from: number, to: number): number {
    const last = this.#slots.length - 1;
    for (let slot = hash & last; ; slot = (slot + 1) & last) {
      const number = (this.#slots[slot] as number) - 1;
      if (number < 0) return -1;
      if (this.#hashes[number] !== hash) continue;
      const word = this.#words[number] as string;
      if (word.length === to - from && text.startsWith(word, from)) return number;
    }
  }

  #place(number: number): void {
    const last = this.#slots.length - 1;
    let slot = (this.#hashes[number] as number) & last;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & last;
    this.#slots[slot] = number + 1;
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let number = 0; number < this.#words.length; number++) this.#place(number);
  }
}

/** FNV-1a, with the high bits mixed in. */
function hashOf(text: string, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash ^ (hash >>> 15);
}
