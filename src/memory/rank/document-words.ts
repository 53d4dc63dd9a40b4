import { hasForms, type Language } from './languages.js';
import { mixHigh, mixLow, seeds, Vocabulary } from './vocabulary.js';

/**
 * An entry says that a word occurs in a document: the number of the word times 64 plus the count (63 at most;
 * more changes BM25 by a thousandth).
 */
const countBits = 6;
const largestCount = 2 ** countBits - 1;
const space = 32;
/** Heap of a word: its string and its stems. */
const bytesPerWord = 200;

/**
 * The words of the documents of one conversation. Documents are kept as they come, and a query reads all of
 * them in a row: that is as fast as lists by word up to many thousands of documents, and there is nothing to
 * build before the first query.
 */
export class DocumentWords {
  readonly #vocabulary = new Vocabulary();
  #entries = new Int32Array(2 ** 10);
  /** Where the entries of each document end. */
  readonly #ends: number[] = [];
  /** Of each language asked for, the words by stem, as far as the vocabulary was read. */
  readonly #stems = new Map<Language, { readonly words: Map<string, number[]>; read: number }>();

  /** Estimated heap, in bytes. */
  get bytes(): number {
    const { bytes, words } = this.#vocabulary;
    return bytes + words.length * bytesPerWord + this.#entries.byteLength + this.#ends.length * 8;
  }

  /** Adds a document of words separated by spaces, between two places of a text; returns their number. */
  add(text: string, from: number, to: number): number {
    const first = this.#ends.at(-1) ?? 0;
    let end = first;
    let words = 0;
    let start = from;
    let { low, high } = seeds;
    for (let at = from; at <= to; at++) {
      const unit = at < to ? text.charCodeAt(at) : space;
      if (unit !== space) {
        low = mixLow(low, unit);
        high = mixHigh(high, unit);
        continue;
      }
      if (at > start) {
        words++;
        end = this.#count(this.#vocabulary.enter(text, start, at, low, high), first, end);
      }
      start = at + 1;
      ({ low, high } = seeds);
    }
    this.#ends.push(end);
    return words;
  }

  /** Counts a word of the document whose entries begin at `first`; returns where they end. The mark is its last entry. */
  #count(slot: number, first: number, end: number): number {
    const last = this.#vocabulary.markAt(slot);
    if (last >= first) {
      const entry = this.#entries[last] as number;
      if ((entry & largestCount) < largestCount) this.#entries[last] = entry + 1;
      return end;
    }
    if (end === this.#entries.length) {
      const larger = new Int32Array(end * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries[end] = (this.#vocabulary.numberAt(slot) << countBits) + 1;
    this.#vocabulary.setMark(slot, end);
    return end + 1;
  }

  /** Occurrences of each language's stop words, each counted once per document. */
  stopWordHits(languages: readonly Language[]): readonly number[] {
    const documents = new Uint32Array(this.#vocabulary.words.length);
    const end = this.#ends.at(-1) ?? 0;
    for (let at = 0; at < end; at++) {
      const word = (this.#entries[at] as number) >> countBits;
      documents[word] = (documents[word] as number) + 1;
    }
    return languages.map(({ stopWords }) => {
      let hits = 0;
      for (const word of stopWords) hits += documents[this.#vocabulary.find(word)] ?? 0;
      return hits;
    });
  }

  /** For each stem, where any form of it occurs: a document and a count, then the next document. */
  occurrences(stems: readonly string[], language: Language | undefined): readonly (readonly number[])[] {
    // Small numbers, so that those of all words fit into the processor's first cache.
    const size = this.#vocabulary.words.length;
    const wanted = stems.length < 256 ? new Uint8Array(size) : new Uint32Array(size);
    for (const [at, stem] of stems.entries()) {
      for (const word of this.#formsOf(stem, language)) wanted[word] = at + 1;
    }
    const found: number[][] = stems.map(() => []);
    const entries = this.#entries;
    let at = 0;
    for (let document = 0; document < this.#ends.length; document++) {
      for (const end = this.#ends[document] as number; at < end; at++) {
        const entry = entries[at] as number;
        const stem = wanted[entry >> countBits] as number;
        if (stem > 0) found[stem - 1]?.push(document, entry & largestCount);
      }
    }
    return found;
  }

  #formsOf(stem: string, language: Language | undefined): readonly number[] {
    if (language && hasForms(stem)) return this.#stemsOf(language).get(stem) ?? [];
    const word = this.#vocabulary.find(stem);
    return word < 0 ? [] : [word];
  }

  #stemsOf(language: Language): ReadonlyMap<string, readonly number[]> {
    let stems = this.#stems.get(language);
    if (!stems) {
      stems = { words: new Map(), read: 0 };
      this.#stems.set(language, stems);
    }
    const { words } = this.#vocabulary;
    for (; stems.read < words.length; stems.read++) {
      const word = words[stems.read] as string;
      if (!hasForms(word)) continue;
      const stem = language.stem(word);
      const forms = stems.words.get(stem);
      if (forms) forms.push(stems.read);
      else stems.words.set(stem, [stems.read]);
    }
    return stems.words;
  }
}
