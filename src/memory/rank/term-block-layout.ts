import { languages } from './languages.js';

/**
 * A stored block: the header and the parts below one after the other, in the byte order of the machine.
 *
 * | part | numbers of |
 * |---|---|
 * | key of each word's stem in the main language, lowest first | 64 bits |
 * | end of each word's postings | 32 bits |
 * | words of each document | 32 bits |
 * | distance of each document from the first sequence of the block | 32 bits |
 * | postings, word by word | 16 bits |
 * | speaker of each document, a line each | UTF-8 |
 * | words, a line each | UTF-8 |
 */
export interface TermBlockHeader {
  readonly documents: number;
  readonly words: number;
  readonly postings: number;
  readonly speakerBytes: number;
  readonly wordBytes: number;
  /** Number of the language of most stop words in `languages`; -1 for none. */
  readonly mainLanguage: number;
  /** Occurrences of stop words by language, each counted once per document. */
  readonly stopWordHits: ArrayLike<number>;
}

/** Raised when words, stems, stop words or the layout change; blocks of another format are rebuilt. */
const format = 2;
const fixedFields = 7;
/** In numbers of 32 bits; even, so that numbers of 64 bits may follow. */
const headerLength = 2 * Math.ceil((fixedFields + languages.length) / 2);
export const headerBytes = headerLength * 4;

export function packHeader(header: TermBlockHeader): Uint8Array {
  const numbers = new Int32Array(headerLength);
  const { documents, words, postings, speakerBytes, wordBytes, mainLanguage, stopWordHits } = header;
  numbers.set([format, documents, words, postings, speakerBytes, wordBytes, mainLanguage]);
  numbers.set(stopWordHits, fixedFields);
  return new Uint8Array(numbers.buffer);
}

/** Undefined if the bytes are of another format or byte order, or cut off. */
export function unpackHeader(packed: Uint8Array<ArrayBuffer>): TermBlockHeader | undefined {
  if (packed.length < headerBytes) return undefined;
  const numbers = new Int32Array(packed.buffer, 0, headerLength);
  const field = (at: number) => numbers[at] as number;
  if (field(0) !== format) return undefined;
  const header: TermBlockHeader = {
    documents: field(1),
    words: field(2),
    postings: field(3),
    speakerBytes: field(4),
    wordBytes: field(5),
    mainLanguage: field(6),
    stopWordHits: numbers.subarray(fixedFields, fixedFields + languages.length),
  };
  const { documents, words, postings, speakerBytes, wordBytes } = header;
  const size = headerBytes + words * 12 + documents * 8 + postings * 2 + speakerBytes + wordBytes;
  return packed.length === size ? header : undefined;
}
