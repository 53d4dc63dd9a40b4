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

  /** @param pairs A document and a count, then the next document. A document may come more than once. */
  add(pairs: readonly number[]): void {
    const { counts, documents } = this;
    for (let at = 0; at < pairs.length; at += 2) {
      const document = pairs[at] as number;
      if (counts[document] === 0) documents[this.found++] = document;
      counts[document] = (counts[document] as number) + (pairs[at + 1] as number);
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
