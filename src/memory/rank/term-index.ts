import { DocumentWords } from './document-words.js';
import { detectLanguage, type Language, languages } from './languages.js';
import { Occurrences } from './occurrences.js';
import type { Tuning } from './tuning.js';
import { splitWords } from './words.js';

/** How well each document matches a query. */
export interface LexicalScores {
  /** BM25 of the document's own text. */
  readonly own: Float64Array;
  /** BM25 of the document read together with those around it. */
  readonly window: Float64Array;
}

/** Words of each document, as it is read for one of the scores. */
interface Lengths {
  readonly words: Float64Array;
  readonly average: number;
}

/** Term statistics of the documents of one conversation, for BM25. Documents are numbered from 0. */
export class TermIndex {
  readonly #words = new DocumentWords();
  readonly #lengths: number[] = [];
  readonly #tuning: Tuning;
  /** How much the words of the documents before, of the document itself and of those after it count. */
  readonly #windowShares: readonly number[];
  #totalLength = 0;
  /** Rebuilt after documents were added. */
  #view: { readonly own: Lengths; readonly window: Lengths } | undefined;
  #mainLanguage: { readonly language: Language | undefined; readonly size: number } | undefined;

  constructor(tuning: Tuning) {
    this.#tuning = tuning;
    this.#windowShares = [...[...tuning.neighbors].reverse(), 1, ...tuning.neighbors];
  }

  get size(): number {
    return this.#lengths.length;
  }

  /** Estimated heap of the statistics, in bytes. */
  get bytes(): number {
    return this.#words.bytes + this.#lengths.length * 8;
  }

  /** Adds a document of words separated by spaces, between two places of a text. */
  add(text: string, from: number, to: number): void {
    const words = this.#words.add(text, from, to);
    this.#view = undefined;
    this.#lengths.push(words);
    this.#totalLength += words;
  }

  /**
   * BM25 of every document, in the order in which they were added. All forms of a word count as one;
   * documents are stored unstemmed, since each query brings its own language.
   */
  score(query: string): LexicalScores {
    this.#view ??= { own: this.#ownLengths(), window: this.#windowLengths() };
    const scores = { own: new Float64Array(this.size), window: new Float64Array(this.size) };
    const own = new Occurrences(this.size);
    const window = new Occurrences(this.size);
    const { language, stems } = this.#read(query);
    for (const pairs of this.#words.occurrences(stems, language)) {
      own.add(pairs);
      window.addAround(own, this.#windowShares);
      this.#addScores(scores.own, own, this.#view.own);
      this.#addScores(scores.window, window, this.#view.window);
      own.clear();
      window.clear();
    }
    return scores;
  }

  #ownLengths(): Lengths {
    return { words: new Float64Array(this.#lengths), average: this.#totalLength / this.size || 1 };
  }

  #windowLengths(): Lengths {
    const lengths = this.#lengths;
    const shares = this.#windowShares;
    const reach = shares.length >> 1;
    const words = new Float64Array(lengths.length);
    for (let at = 0; at < shares.length; at++) {
      const share = shares[at] as number;
      const distance = at - reach;
      const end = Math.min(words.length, words.length - distance);
      for (let document = Math.max(0, -distance); document < end; document++) {
        words[document] = (words[document] as number) + share * (lengths[document + distance] as number);
      }
    }
    const shareSum = shares.reduce((sum, share) => sum + share, 0);
    return { words, average: (shareSum * this.#totalLength) / this.size || 1 };
  }

  /** The stems of the query's words without stop words, and their language. */
  #read(query: string): { readonly language: Language | undefined; readonly stems: readonly string[] } {
    const words = new Set(splitWords(query));
    const countStopWords = ({ stopWords }: Language) => {
      let hits = 0;
      for (const word of words) if (stopWords.has(word)) hits++;
      return hits;
    };
    const language = detectLanguage(countStopWords) ?? this.#language();
    if (!language) return { language, stems: [...words] };
    const content = [...words].filter((word) => !language.stopWords.has(word));
    // "Who are you?" consists of stop words alone.
    const asked = content.length > 0 ? content : [...words];
    return { language, stems: [...new Set(asked.map(language.stem))] };
  }

  /** The language of most documents, looked at again whenever they have doubled. */
  #language(): Language | undefined {
    if (!this.#mainLanguage || this.size >= this.#mainLanguage.size * 2) {
      const hits = this.#words.stopWordHits(languages);
      const language = detectLanguage((each) => hits[languages.indexOf(each)] ?? 0);
      this.#mainLanguage = { language, size: this.size };
    }
    return this.#mainLanguage.language;
  }

  #addScores(scores: Float64Array, { counts, documents, found }: Occurrences, lengths: Lengths): void {
    const { saturation: k1, lengthWeight: b } = this.#tuning;
    const { words, average } = lengths;
    const rarity = Math.log(1 + (this.size - found + 0.5) / (found + 0.5));
    for (let at = 0; at < found; at++) {
      const document = documents[at] as number;
      const count = counts[document] as number;
      const relativeLength = (words[document] as number) / average;
      const saturated = (count * (k1 + 1)) / (count + k1 * (1 - b + b * relativeLength));
      scores[document] = (scores[document] as number) + rarity * saturated;
    }
  }
}
