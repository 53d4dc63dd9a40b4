/** Fields of a slot: two hashes of the word, its number plus 1 (0 if the slot is empty), and a mark. */
const fields = 4;
const numberField = 2;
const markField = 3;

/**
 * Numbers the words of a conversation in the order in which they first occur. Words are told apart by a hash
 * of 64 bits, which is computed while a text is scanned: to cut out all words of thousands of turns, or to
 * look in several places for each, takes longer than a first recall may.
 */
export class Vocabulary {
  readonly #words: string[] = [];
  /** Open addressing. */
  #slots = new Int32Array(fields * 2 ** 10);

  get words(): readonly string[] {
    return this.#words;
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** Enters the word between two places of a text, whose hashes these are; returns its slot until the next call. */
  enter(text: string, from: number, to: number, low: number, high: number): number {
    const slot = this.#find(low, high);
    if (this.#slots[slot + numberField] !== 0) return slot;
    this.#slots[slot] = low;
    this.#slots[slot + 1] = high;
    this.#slots[slot + numberField] = this.#words.push(text.slice(from, to));
    this.#slots[slot + markField] = -1;
    if (this.#words.length * fields * 2 <= this.#slots.length) return slot;
    this.#grow();
    return this.#find(low, high);
  }

  numberAt(slot: number): number {
    return (this.#slots[slot + numberField] as number) - 1;
  }

  /** What was noted last for the word; -1 at first. */
  markAt(slot: number): number {
    return this.#slots[slot + markField] as number;
  }

  setMark(slot: number, mark: number): void {
    this.#slots[slot + markField] = mark;
  }

  /** The number of a word, or -1. */
  find(word: string): number {
    let { low, high } = seeds;
    for (let at = 0; at < word.length; at++) {
      low = mixLow(low, word.charCodeAt(at));
      high = mixHigh(high, word.charCodeAt(at));
    }
    return this.numberAt(this.#find(low, high));
  }

  /** The slot of the word, or the one where it belongs. */
  #find(low: number, high: number): number {
    const slots = this.#slots;
    const last = slots.length - 1;
    let slot = ((low ^ (high >>> 15)) * fields) & last;
    while (slots[slot + numberField] !== 0 && (slots[slot] !== low || slots[slot + 1] !== high)) {
      slot = (slot + fields) & last;
    }
    return slot;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Int32Array(before.length * 2);
    for (let slot = 0; slot < before.length; slot += fields) {
      if (before[slot + numberField] === 0) continue;
      const there = this.#find(before[slot] as number, before[slot + 1] as number);
      for (let field = 0; field < fields; field++)
        this.#slots[there + field] = before[slot + field] as number;
    }
  }
}

/** Two hashes of 32 bits, like FNV-1a. */
export const seeds: { readonly low: number; readonly high: number } = { low: 0x011c9dc5, high: 0x41c6ce57 };
export const mixLow = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x01000193);
export const mixHigh = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x5f356495);
