/**
 * A posting is where a word occurs: the number of the document times 64 plus the count (63 at most; more
 * changes BM25 by a thousandth). One small integer keeps memory and the time to build low.
 */
const countBits = 6;
const largestCount = 2 ** countBits - 1;

/** Counts one more occurrence in a document that is the last one of the postings, or comes after it. */
export function addPosting(postings: number[], document: number): void {
  const last = postings[postings.length - 1] ?? -1;
  if (last >> countBits !== document) postings.push((document << countBits) + 1);
  else if ((last & largestCount) < largestCount) postings[postings.length - 1] = last + 1;
}

/** How often a word occurs in each document. Made once for a query and emptied for each of its words. */
export class Occurrences {
  readonly counts: Float64Array;
  /** The documents that have any; only the first `found` count. */
  readonly documents: Int32Array;
  found = 0;

  constructor(documents: number) {
    this.counts = new Float64Array(documents);
    this.documents = new Int32Array(documents);
  }

  /** @param first number of the document that the postings call 0. */
  add(postings: ArrayLike<number>, from: number, to: number, first: number): void {
    const { counts, documents } = this;
    for (let at = from; at < to; at++) {
      const posting = postings[at] as number;
      const document = first + (posting >> countBits);
      if (counts[document] === 0) documents[this.found++] = document;
      counts[document] = (counts[document] as number) + (posting & largestCount);
    }
  }

  /** Adds to each document the counts of those around it, by the share of each distance. */
  addAround(own: Occurrences, shares: readonly number[]): void {
    const { counts, documents } = this;
    const reach = shares.length >> 1;
    for (let at = 0; at < own.found; at++) {
      const document = own.documents[at] as number;
      const count = own.counts[document] as number;
      const last = Math.min(document + reach, counts.length - 1);
      for (let near = Math.max(0, document - reach); near <= last; near++) {
        if (counts[near] === 0) documents[this.found++] = near;
        counts[near] = (counts[near] as number) + count * (shares[near - document + reach] as number);
      }
    }
  }

  clear(): void {
    const { counts, documents, found } = this;
    for (let at = 0; at < found; at++) counts[documents[at] as number] = 0;
    this.found = 0;
  }
}
