import { detectLanguage, type Language } from './languages.js';
import { countBits, largestCount, type TermBlock } from './term-block.js';
import type { Tuning } from './tuning.js';
import { splitWords } from './words.js';

/** How well each document matches a query. */
export interface LexicalScores {
  /** BM25 of the document's own text. */
  readonly own: Float64Array;
  /** BM25 of the document read together with those around it. */
  readonly window: Float64Array;
}

/** How the documents are read for one score. */
interface View {
  /** How much the words of the documents before, of the document itself and of those after it count. */
  readonly shares: readonly number[];
  /** Words of each document read so, as a multiple of the average. */
  readonly relativeLengths: Float64Array;
}

/** Term statistics of the documents of one conversation, for BM25. Documents are numbered from 0. */
export class TermIndex {
  readonly #postings = new Map<string, number[]>();
  readonly #lengths: number[] = [];
  /** Of each language asked for, the words by stem, as far as the vocabulary was read. */
  readonly #stems = new Map<Language, { readonly words: Map<string, string[]>; read: number }>();
  readonly #vocabulary: string[] = [];
  #totalLength = 0;
  readonly #tuning: Tuning;
  readonly #windowShares: readonly number[];
  /** Of the text alone and of the window; made anew when documents come. */
  #views: readonly [View, View] | undefined;
  #postingCount = 0;
  #mainLanguage: { readonly language: Language | undefined; readonly size: number } | undefined;

  constructor(tuning: Tuning) {
    this.#tuning = tuning;
    this.#windowShares = [...[...tuning.neighbours].reverse(), 1, ...tuning.neighbours];
  }

  get size(): number {
    return this.#lengths.length;
  }

  /** Estimated heap of the statistics, in bytes. */
  get bytes(): number {
    return this.#postings.size * 300 + this.#postingCount * 8 + this.#lengths.length * 8;
  }

  add(block: TermBlock): void {
    this.#views = undefined;
    const { words, postingCounts, postings, lengths } = block;
    const offset = this.#lengths.length << countBits;
    let from = 0;
    for (let word = 0; word < words.length; word++) {
      const term = words[word] as string;
      let known = this.#postings.get(term);
      if (!known) {
        known = [];
        this.#postings.set(term, known);
        this.#vocabulary.push(term);
      }
      const end = from + (postingCounts[word] as number);
      for (; from < end; from++) known.push(offset + (postings[from] as number));
    }
    this.#postingCount += postings.length;
    for (const length of lengths) {
      this.#lengths.push(length);
      this.#totalLength += length;
    }
  }

  /**
   * BM25 of every document, in the order in which they were added. All forms of a word count as one;
   * the documents are kept as they are, so that each query brings its own language.
   */
  score(query: string): LexicalScores {
    const words = [...this.#formsOfWords(query)];
    this.#views ??= [this.#view([1]), this.#view(this.#windowShares)];
    const [own, window] = this.#views;
    return { own: this.#scoreWith(own, words), window: this.#scoreWith(window, words) };
  }

  #scoreWith(view: View, words: readonly (readonly string[])[]): Float64Array {
    const scores = new Float64Array(this.size);
    const counts = new Float64Array(this.size);
    for (const forms of words) {
      const documents = this.#gather(forms, counts, view.shares);
      this.#addScores(scores, documents, counts, view.relativeLengths);
      for (const document of documents) counts[document] = 0;
    }
    return scores;
  }

  #view(shares: readonly number[]): View {
    const reach = shares.length >> 1;
    const lengths = new Float64Array(this.size);
    for (let document = 0; document < this.size; document++) {
      let length = 0;
      for (const [at, share] of shares.entries())
        length += share * (this.#lengths[document + at - reach] ?? 0);
      lengths[document] = length;
    }
    const shareSum = shares.reduce((sum, share) => sum + share, 0);
    const averageLength = (shareSum * this.#totalLength) / this.size || 1;
    return { shares, relativeLengths: lengths.map((length) => length / averageLength) };
  }

  /** For each word of the query that says what it is about, the indexed words of the same stem. */
  #formsOfWords(query: string): Iterable<readonly string[]> {
    const words = [...new Set(splitWords(query))];
    const countStopWords = ({ stopWords }: Language) =>
      words.reduce((hits, word) => hits + (stopWords.has(word) ? 1 : 0), 0);
    const language = detectLanguage(countStopWords) ?? this.#language();
    if (!language) return words.map((word) => [word]);
    const content = words.filter((word) => !language.stopWords.has(word));
    const stems = this.#stemsOf(language);
    const forms = new Map<string, readonly string[]>();
    // "Who are you?" is about nothing else than its stop words.
    for (const word of content.length > 0 ? content : words) {
      const stem = language.stem(word);
      forms.set(stem, stems.get(stem) ?? []);
    }
    return forms.values();
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

  /** The language of most documents, looked at again whenever they have doubled. */
  #language(): Language | undefined {
    if (!this.#mainLanguage || this.size >= this.#mainLanguage.size * 2) {
      const language = detectLanguage(({ stopWords }) => {
        let hits = 0;
        for (const word of stopWords) hits += this.#postings.get(word)?.length ?? 0;
        return hits;
      });
      this.#mainLanguage = { language, size: this.size };
    }
    return this.#mainLanguage.language;
  }

  /**
   * Counts the forms in each document and its neighbours, by `shares` of the documents before, the
   * document itself and those after it; gives the documents that have any.
   */
  #gather(forms: readonly string[], counts: Float64Array, shares: readonly number[]): number[] {
    const reach = shares.length >> 1;
    const found: number[] = [];
    for (const form of forms) {
      const postings = this.#postings.get(form);
      if (!postings) continue;
      for (const posting of postings) {
        const document = posting >> countBits;
        const count = posting & largestCount;
        const last = Math.min(document + reach, this.size - 1);
        for (let near = Math.max(0, document - reach); near <= last; near++) {
          if (counts[near] === 0) found.push(near);
          counts[near] = (counts[near] as number) + count * (shares[near - document + reach] as number);
        }
      }
    }
    return found;
  }

  #addScores(
    scores: Float64Array,
    documents: readonly number[],
    counts: Float64Array,
    relativeLengths: Float64Array,
  ): void {
    const { saturation: k1, lengthWeight: b } = this.#tuning;
    const rarity = Math.log(1 + (this.size - documents.length + 0.5) / (documents.length + 0.5));
    for (const document of documents) {
      const count = counts[document] as number;
      const saturated =
        (count * (k1 + 1)) / (count + k1 * (1 - b + b * (relativeLengths[document] as number)));
      scores[document] = (scores[document] as number) + rarity * saturated;
    }
  }
}
