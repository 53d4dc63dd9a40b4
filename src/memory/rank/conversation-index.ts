import { fuse } from './fuse.js';
import { TermIndex } from './term-index.js';
import { termsOf } from './terms.js';
import { shippedTuning, type Tuning } from './tuning.js';
import { packedBytes, packVector, VectorTable } from './vector-table.js';
import { splitWords } from './words.js';

/** A turn that bears on a query, by the number under which it was added. */
export interface Ranked {
  readonly sequence: number;
  /** From 0 to 1. */
  readonly score: number;
}

export interface ConversationIndexOptions {
  /** Of the embedder; absent if turns are ranked by words alone. */
  readonly dimensions?: number | undefined;
  /** Weights of words, speakers and meaning. Default: as the shipped stores have them. */
  readonly tuning?: Tuning | undefined;
}

/**
 * Ranks the turns of one conversation, in memory: by their words and those of the turns around them, by
 * meaning if there are vectors, and by speaker. It is derived from the stored turns, independent of the engine
 * that stores them, and searched exactly: every turn is scored.
 *
 * @example
 * ```ts
 * const index = new ConversationIndex();
 * for (const [at, turn] of turns.entries()) index.add(at, textOfTurn(turn));
 * const found = index.search('Which film did we watch?', 10).map(({ sequence }) => turns[sequence]);
 * ```
 */
export class ConversationIndex {
  readonly #terms: TermIndex;
  readonly #sequences: number[] = [];
  /** By name, which documents that speaker opens. */
  readonly #speakers = new Map<string, number[]>();
  readonly #vectors: VectorTable | undefined;
  readonly #tuning: Tuning;

  constructor(options: ConversationIndexOptions = {}) {
    this.#tuning = options.tuning ?? shippedTuning;
    this.#terms = new TermIndex(this.#tuning);
    this.#vectors = options.dimensions === undefined ? undefined : new VectorTable(options.dimensions);
  }

  get size(): number {
    return this.#sequences.length;
  }

  get vectors(): number {
    return this.#vectors?.count ?? 0;
  }

  /** Estimated memory, in bytes. */
  get bytes(): number {
    return 1024 + this.#terms.bytes + this.#sequences.length * 24 + (this.#vectors?.bytes ?? 0);
  }

  /** Adds a turn. Sequences must rise; gaps are fine. */
  add(sequence: number, text: string): void {
    this.addTerms([sequence], termsOf(text));
  }

  /** Adds turns by their `termsOf`, a line each. */
  addTerms(sequences: readonly number[], lines: string): void {
    let from = 0;
    for (const sequence of sequences) {
      const colon = lines.indexOf(':', from);
      const lineEnd = lines.indexOf('\n', colon);
      const to = lineEnd < 0 ? lines.length : lineEnd;
      if (colon > from) this.#addSpeaker(lines.slice(from, colon), this.size);
      this.#sequences.push(sequence);
      this.#terms.add(lines, colon + 1, to);
      from = to + 1;
    }
  }

  /** @param vector Of the turn's text, or what `packVector` made of it. Ignored for an unknown sequence. */
  setVector(sequence: number, vector: Float32Array | Uint8Array): void {
    const position = this.#positionOf(sequence);
    if (position === undefined) return;
    this.#vectors?.set(position, vector instanceof Float32Array ? packVector(vector) : vector);
  }

  /** Many at a time, packed one after the other; sequences rise. */
  setVectors(sequences: readonly number[], packed: Uint8Array): void {
    const vectors = this.#vectors;
    if (!vectors) return;
    const size = packedBytes(vectors.dimensions);
    let at = 0;
    while (at < sequences.length) {
      const document = this.#firstFrom(sequences[at] as number);
      const from = at;
      while (at < sequences.length && this.#sequences[document + at - from] === sequences[at]) at++;
      // Vectors of consecutive documents are copied at once.
      if (at > from) vectors.set(document, packed.subarray(from * size, at * size), this.size);
      else at++;
    }
  }

  /** The lowest sequence without a vector; undefined if no vectors are used. */
  firstWithoutVector(): number | undefined {
    const vectors = this.#vectors;
    return vectors && this.#sequences.find((_, position) => !vectors.has(position));
  }

  /** The best `limit` turns, best first; the later one first among equals. `vector` is that of the query. */
  search(
    query: string,
    limit: number,
    { vector }: { readonly vector?: Float32Array | undefined } = {},
  ): Ranked[] {
    const scores = fuse(
      {
        lexical: this.#terms.score(query),
        dense: vector && this.#compare(vector),
        named: this.#named(query),
      },
      this.#tuning,
    );
    return selectBest(scores, limit).map((position) => ({
      sequence: this.#sequences[position] as number,
      score: scores[position] as number,
    }));
  }

  #compare(vector: Float32Array): Float64Array | undefined {
    return this.#vectors?.count ? this.#vectors.score(vector, this.size) : undefined;
  }

  #named(query: string): Uint8Array | undefined {
    const words = new Set(splitWords(query));
    // "Ann's" is one word, without its apostrophe.
    const isNamed = (word: string) => words.has(word) || words.has(`${word}s`);
    let named: Uint8Array | undefined;
    for (const [name, documents] of this.#speakers) {
      if (!splitWords(name).some(isNamed)) continue;
      named ??= new Uint8Array(this.size);
      for (const document of documents) named[document] = 1;
    }
    return named;
  }

  #addSpeaker(name: string, document: number): void {
    const documents = this.#speakers.get(name);
    if (documents) documents.push(document);
    else this.#speakers.set(name, [document]);
  }

  #positionOf(sequence: number): number | undefined {
    const position = this.#firstFrom(sequence);
    return this.#sequences[position] === sequence ? position : undefined;
  }

  /** The position of the first document with this sequence or a higher one. */
  #firstFrom(sequence: number): number {
    let low = 0;
    let high = this.#sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sequences[middle] as number) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The positions of the highest scores above 0, highest first, the later one first among equals. */
function selectBest(scores: Float64Array, limit: number): number[] {
  const best: number[] = [];
  let least = 0;
  for (let position = 0; position < scores.length; position++) {
    const score = scores[position] as number;
    if (score <= 0 || (best.length === limit && score < least)) continue;
    let at = best.length;
    while (at > 0 && score >= (scores[best[at - 1] as number] as number)) at--;
    best.splice(at, 0, position);
    if (best.length > limit) best.pop();
    least = scores[best[best.length - 1] as number] as number;
  }
  return best;
}
