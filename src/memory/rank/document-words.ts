import type { Language } from './languages.js';
import { Vocabulary } from './vocabulary.js';

/**
 * An entry says that a word occurs in a document: the number of the word times 64 plus the count (63 at most;
 * more changes BM25 by a thousandth).
 */
const countBits = 6;
const largestCount = 2 ** countBits - 1;
const space = 32;
/** Heap of a word: its string, its hash, its slots, its stem. */
const bytesPerWord = 300;

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
  /** By word, where its last entry is, and how many documents have it. */
  readonly #lastEntries: number[] = [];
  readonly #documents: number[] = [];
  /** Of each language asked for, the words by stem, as far as the vocabulary was read. */
  readonly #stems = new Map<Language, { readonly words: Map<string, number[]>; read: number }>();

  /** Estimated heap, in bytes. */
  get bytes(): number {
    return this.#entries.byteLength + this.#ends.length * 8 + this.#lastEntries.length * bytesPerWord;
  }

  /** Adds a document of words separated by spaces, between two places of a text; returns their number. */
  add(text: string, from: number, to: number): number {
    const first = this.#ends.at(-1) ?? 0;
    let end = first;
    let words = 0;
    for (let at = from, start = from; at <= to; at++) {
      if (at < to && text.charCodeAt(at) !== space) continue;
      if (at > start) {
        words++;
        end = this.#addWord(this.#vocabulary.numberOf(text, start, at), first, end);
      }
      start = at + 1;
    }
    this.#ends.push(end);
    return words;
  }

  #addWord(word: number, first: number, end: number): number {
    const last = this.#lastEntries[word] ?? -1;
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
    this.#entries[end] = (word << countBits) + 1;
    this.#lastEntries[word] = end;
    this.#documents[word] = (this.#documents[word] ?? 0) + 1;
    return end + 1;
  }

  /** Occurrences of the language's stop words, each counted once per document. */
  stopWordHits({ stopWords }: Language): number {
    let hits = 0;
    for (const word of stopWords) hits += this.#documents[this.#vocabulary.find(word)] ?? 0;
    return hits;
  }

  /** For each stem, where any form of it occurs: a document and a count, then the next document. */
  occurrences(stems: readonly string[], language: Language | undefined): readonly (readonly number[])[] {
    const wanted = new Int32Array(this.#vocabulary.words.length);
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
    if (language) return this.#stemsOf(language).get(stem) ?? [];
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
      const stem = language.stem(words[stems.read] as string);
      const forms = stems.words.get(stem);
      if (forms) forms.push(stems.read);
      else stems.words.set(stem, [stems.read]);
    }
    return stems.words;
  }
}
