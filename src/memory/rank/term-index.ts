import { splitWords } from './words.js';

/** Saturation of repeated words and weight of length, as in Robertson & Zaragoza (2009). */
const k1 = 1.2;
const b = 0.75;

/** How well each document matches a query. */
export interface LexicalScores {
  /** BM25 of the document's own text. */
  readonly own: Float64Array;
  /** BM25 of the document read together with the one before and the one after it. */
  readonly window: Float64Array;
}

interface Postings {
  readonly documents: number[];
  readonly counts: number[];
}

/** Term statistics of the documents of one conversation, for BM25. Documents are numbered from 0. */
export class TermIndex {
  readonly #postings = new Map<string, Postings>();
  readonly #lengths: number[] = [];
  #totalLength = 0;
  #postingCount = 0;

  get size(): number {
    return this.#lengths.length;
  }

  /** Estimated heap of the statistics, in bytes. */
  get bytes(): number {
    return this.#postings.size * 200 + this.#postingCount * 20 + this.#lengths.length * 8;
  }

  add(text: string): void {
    const document = this.#lengths.length;
    const terms = splitWords(text);
    for (const term of terms) {
      let postings = this.#postings.get(term);
      if (!postings) {
        postings = { documents: [], counts: [] };
        this.#postings.set(term, postings);
      }
      const last = postings.documents.length - 1;
      if (postings.documents[last] === document) {
        postings.counts[last] = (postings.counts[last] ?? 0) + 1;
      } else {
        postings.documents.push(document);
        postings.counts.push(1);
        this.#postingCount++;
      }
    }
    this.#lengths.push(terms.length);
    this.#totalLength += terms.length;
  }

  /** BM25 of every document, in the order in which they were added. */
  score(query: string): LexicalScores {
    const own = new Float64Array(this.size);
    const window = new Float64Array(this.size);
    const counts = new Float64Array(this.size);
    for (const term of new Set(splitWords(query))) {
      const postings = this.#postings.get(term);
      if (!postings) continue;
      this.#addScores(own, postings.documents, postings.counts, 0);
      const windows = spreadToWindows(postings, counts);
      this.#addScores(
        window,
        windows,
        windows.map((document) => counts[document] as number),
        1,
      );
      for (const document of windows) counts[document] = 0;
    }
    return { own, window };
  }

  #addScores(
    scores: Float64Array,
    documents: readonly number[],
    counts: readonly number[],
    reach: 0 | 1,
  ): void {
    const averageLength = (this.#totalLength / this.size) * (1 + 2 * reach) || 1;
    const rarity = Math.log(1 + (this.size - documents.length + 0.5) / (documents.length + 0.5));
    for (let at = 0; at < documents.length; at++) {
      const document = documents[at] as number;
      const count = counts[at] as number;
      let length = this.#lengths[document] as number;
      if (reach === 1) length += (this.#lengths[document - 1] ?? 0) + (this.#lengths[document + 1] ?? 0);
      const saturated = (count * (k1 + 1)) / (count + k1 * (1 - b + (b * length) / averageLength));
      scores[document] = (scores[document] as number) + rarity * saturated;
    }
  }
}

/** Adds up each document's count with those of its neighbours; gives the documents that have any. */
function spreadToWindows({ documents, counts }: Postings, windowCounts: Float64Array): number[] {
  const windows: number[] = [];
  for (let at = 0; at < documents.length; at++) {
    const document = documents[at] as number;
    for (let near = Math.max(0, document - 1); near <= document + 1 && near < windowCounts.length; near++) {
      if (windowCounts[near] === 0) windows.push(near);
      windowCounts[near] = (windowCounts[near] as number) + (counts[at] as number);
    }
  }
  return windows;
}
