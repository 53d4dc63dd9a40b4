import { detectLanguage, type Language } from './languages.js';
import { LooseTerms } from './loose-terms.js';
import { Occurrences } from './occurrences.js';
import type { TermBlock } from './term-block.js';
import type { Tuning } from './tuning.js';
import { wordKey } from './word-key.js';
import { splitWords } from './words.js';

/** How well each document matches a query. */
export interface LexicalScores {
  /** BM25 of the document's own text. */
  readonly own: Float64Array;
  /** BM25 of the document read together with those around it. */
  readonly window: Float64Array;
}

interface PlacedBlock {
  readonly block: TermBlock;
  /** The number of its first document. */
  readonly first: number;
}

/** Term statistics of the documents of one conversation, for BM25. Documents are numbered from 0. */
export class TermIndex {
  readonly #loose = new LooseTerms();
  readonly #blocks: PlacedBlock[] = [];
  readonly #lengths: number[] = [];
  readonly #tuning: Tuning;
  /** How much the words of the documents before, of the document itself and of those after it count. */
  readonly #windowShares: readonly number[];
  /** Words of each document, alone and with those around it, as multiples of the average; made anew when documents come. */
  #relativeLengths: LexicalScores | undefined;
  #blockBytes = 0;
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
    return this.#loose.bytes + this.#blockBytes + this.#lengths.length * 8;
  }

  add(text: string): void {
    this.#relativeLengths = undefined;
    this.#lengths.push(this.#loose.add(this.size, text));
  }

  addBlock(block: TermBlock): void {
    this.#relativeLengths = undefined;
    this.#blocks.push({ block, first: this.size });
    this.#blockBytes += block.bytes;
    for (const length of block.lengths) this.#lengths.push(length);
  }

  /**
   * BM25 of every document, in the order in which they were added. All forms of a word count as one;
   * the documents are kept as they are, so that each query brings its own language.
   */
  score(query: string): LexicalScores {
    this.#relativeLengths ??= this.#measureLengths();
    const scores = { own: new Float64Array(this.size), window: new Float64Array(this.size) };
    const own = new Occurrences(this.size);
    const window = new Occurrences(this.size);
    const { language, stems } = this.#read(query);
    const known = new Map<string, number>();
    for (const { block } of this.#blocks) block.prepare(language, known);
    for (const stem of stems) {
      this.#loose.count(stem, language, own);
      const key = wordKey(stem);
      for (const { block, first } of this.#blocks) block.count(key, language, first, own);
      window.addAround(own, this.#windowShares);
      this.#addScores(scores.own, own, this.#relativeLengths.own);
      this.#addScores(scores.window, window, this.#relativeLengths.window);
      own.clear();
      window.clear();
    }
    return scores;
  }

  #measureLengths(): LexicalScores {
    const own = Float64Array.from(this.#lengths);
    const shares = this.#windowShares;
    const reach = shares.length >> 1;
    const window = new Float64Array(own.length);
    for (let at = 0; at < shares.length; at++) {
      const share = shares[at] as number;
      const distance = at - reach;
      const end = Math.min(own.length, own.length - distance);
      for (let document = Math.max(0, -distance); document < end; document++) {
        window[document] = (window[document] as number) + share * (own[document + distance] as number);
      }
    }
    let total = 0;
    for (const length of own) total += length;
    const shareSum = shares.reduce((sum, share) => sum + share, 0);
    divide(own, total / this.size || 1);
    divide(window, (shareSum * total) / this.size || 1);
    return { own, window };
  }

  /** The stems of the words that say what the query is about, and the language they are of. */
  #read(query: string): { readonly language: Language | undefined; readonly stems: Iterable<string> } {
    const words = new Set(splitWords(query));
    const countStopWords = ({ stopWords }: Language) => {
      let hits = 0;
      for (const word of words) if (stopWords.has(word)) hits++;
      return hits;
    };
    const language = detectLanguage(countStopWords) ?? this.#language();
    if (!language) return { language, stems: words };
    const content = [...words].filter((word) => !language.stopWords.has(word));
    // "Who are you?" is about nothing else than its stop words.
    const asked = content.length > 0 ? content : [...words];
    return { language, stems: new Set(asked.map(language.stem)) };
  }

  /** The language of most documents, looked at again whenever they have doubled. */
  #language(): Language | undefined {
    if (!this.#mainLanguage || this.size >= this.#mainLanguage.size * 2) {
      const language = detectLanguage((each) =>
        this.#blocks.reduce(
          (hits, { block }) => hits + block.stopWordHits(each),
          this.#loose.stopWordHits(each),
        ),
      );
      this.#mainLanguage = { language, size: this.size };
    }
    return this.#mainLanguage.language;
  }

  #addScores(scores: Float64Array, { counts, documents, found }: Occurrences, lengths: Float64Array): void {
    const { saturation: k1, lengthWeight: b } = this.#tuning;
    const rarity = Math.log(1 + (this.size - found + 0.5) / (found + 0.5));
    for (let at = 0; at < found; at++) {
      const document = documents[at] as number;
      const count = counts[document] as number;
      const saturated = (count * (k1 + 1)) / (count + k1 * (1 - b + b * (lengths[document] as number)));
      scores[document] = (scores[document] as number) + rarity * saturated;
    }
  }
}

function divide(numbers: Float64Array, divisor: number): void {
  for (let at = 0; at < numbers.length; at++) numbers[at] = (numbers[at] as number) / divisor;
}
