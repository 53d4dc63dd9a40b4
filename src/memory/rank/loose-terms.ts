import type { Language } from './languages.js';
import { addPosting, type Occurrences } from './occurrences.js';
import { splitWords } from './words.js';

/** The words of documents as they come, one by one; a `TermBlock` holds those that are stored. */
export class LooseTerms {
  readonly #postings = new Map<string, number[]>();
  readonly #vocabulary: string[] = [];
  /** Of each language asked for, the words by stem, as far as the vocabulary was read. */
  readonly #stems = new Map<Language, { readonly words: Map<string, string[]>; read: number }>();
  #bytes = 0;

  /** Estimated heap, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the number of words. Documents come in rising order. */
  add(document: number, text: string): number {
    const words = splitWords(text);
    for (const word of words) {
      let postings = this.#postings.get(word);
      if (!postings) {
        postings = [];
        this.#postings.set(word, postings);
        this.#vocabulary.push(word);
        this.#bytes += 300;
      }
      addPosting(postings, document);
    }
    this.#bytes += words.length * 8;
    return words.length;
  }

  /** Every word with its postings. */
  entries(): Iterable<readonly [word: string, postings: readonly number[]]> {
    return this.#postings;
  }

  /** Occurrences of the language's stop words, each counted once per document. */
  stopWordHits({ stopWords }: Language): number {
    let hits = 0;
    for (const word of stopWords) hits += this.#postings.get(word)?.length ?? 0;
    return hits;
  }

  /** Counts all forms of a word. */
  count(stem: string, language: Language | undefined, into: Occurrences): void {
    const forms = language ? (this.#stemsOf(language).get(stem) ?? []) : [stem];
    for (const form of forms) {
      const postings = this.#postings.get(form);
      if (postings) into.add(postings, 0, postings.length, 0);
    }
  }

  #stemsOf(language: Language): ReadonlyMap<string, readonly string[]> {
    let stems = this.#stems.get(language);
    if (!stems) {
      stems = { words: new Map(), read: 0 };
      this.#stems.set(language, stems);
    }
    for (; stems.read < this.#vocabulary.length; stems.read++) {
      const word = this.#vocabulary[stems.read] as string;
      const stem = language.stem(word);
      const forms = stems.words.get(stem);
      if (forms) forms.push(word);
      else stems.words.set(stem, [word]);
    }
    return stems.words;
  }
}
