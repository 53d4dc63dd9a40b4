import { type Language, languages } from './languages.js';
import type { Occurrences } from './occurrences.js';
import { headerBytes, type TermBlockHeader, unpackHeader } from './term-block-layout.js';
import { firstKeyFrom, wordKey } from './word-key.js';

/**
 * The terms of some consecutive documents, searched in the bytes in which they are stored: decoding
 * thousands of words would take longer than a whole first recall may.
 */
export class TermBlock {
  /** Distance of each document from the first sequence of the block. */
  readonly distances: Uint32Array;
  /** Words in each document. */
  readonly lengths: Uint32Array;
  readonly bytes: number;
  readonly #header: TermBlockHeader;
  readonly #mainLanguage: Language | undefined;
  readonly #keys: Float64Array;
  readonly #ends: Uint32Array;
  readonly #postings: Uint16Array;
  readonly #speakers: Uint8Array;
  readonly #words: Uint8Array;
  /** Of the languages asked for that are not the main one: the key of each word's stem, word by word. */
  readonly #otherKeys = new Map<Language | undefined, Float64Array>();

  private constructor(buffer: ArrayBuffer, header: TermBlockHeader) {
    const { documents, words, postings, speakerBytes, wordBytes, mainLanguage } = header;
    this.bytes = buffer.byteLength;
    this.#header = header;
    this.#mainLanguage = languages[mainLanguage];
    this.#keys = new Float64Array(buffer, headerBytes, words);
    this.#ends = new Uint32Array(buffer, headerBytes + words * 8, words);
    const documentsFrom = headerBytes + words * 12;
    this.lengths = new Uint32Array(buffer, documentsFrom, documents);
    this.distances = new Uint32Array(buffer, documentsFrom + documents * 4, documents);
    const postingsFrom = documentsFrom + documents * 8;
    this.#postings = new Uint16Array(buffer, postingsFrom, postings);
    this.#speakers = new Uint8Array(buffer, postingsFrom + postings * 2, speakerBytes);
    this.#words = new Uint8Array(buffer, postingsFrom + postings * 2 + speakerBytes, wordBytes);
  }

  /** Undefined if the bytes are not of the current format. */
  static unpack(packed: ArrayBuffer | Uint8Array): TermBlock | undefined {
    const isAtStart = packed instanceof Uint8Array && packed.byteOffset === 0;
    // A copy begins where numbers of 64 bits may.
    const bytes = isAtStart ? (packed as Uint8Array<ArrayBuffer>) : new Uint8Array(packed);
    const header = unpackHeader(bytes);
    return header && new TermBlock(bytes.buffer, header);
  }

  /** By document; undefined if no document names one. */
  speakers(): readonly string[] | undefined {
    const { documents, speakerBytes } = this.#header;
    return speakerBytes < documents ? undefined : readLines(this.#speakers);
  }

  stopWordHits(language: Language): number {
    return this.#header.stopWordHits[languages.indexOf(language)] ?? 0;
  }

  /**
   * Counts all forms of a word, by the key of its stem in the language.
   *
   * @param first number of the block's first document among those that are counted.
   */
  count(key: number, language: Language | undefined, first: number, into: Occurrences): void {
    if (language === this.#mainLanguage) {
      for (let word = firstKeyFrom(this.#keys, key); this.#keys[word] === key; word++) {
        this.#countWord(word, first, into);
      }
      return;
    }
    const keys = this.#otherKeys.get(language);
    for (let word = keys?.indexOf(key) ?? -1; keys && word >= 0; word = keys.indexOf(key, word + 1)) {
      this.#countWord(word, first, into);
    }
  }

  /**
   * Must be called before words of the language are counted.
   *
   * @param known keys of words that were stemmed before, for this language.
   */
  prepare(language: Language | undefined, known: Map<string, number>): void {
    if (language === this.#mainLanguage || this.#otherKeys.has(language)) return;
    const words = this.#ends.length === 0 ? [] : readLines(this.#words);
    const keys = words.map((word) => {
      let key = known.get(word);
      if (key === undefined) {
        key = wordKey(language ? language.stem(word) : word);
        known.set(word, key);
      }
      return key;
    });
    this.#otherKeys.set(language, Float64Array.from(keys));
  }

  #countWord(word: number, first: number, into: Occurrences): void {
    const from = word === 0 ? 0 : (this.#ends[word - 1] as number);
    into.add(this.#postings, from, this.#ends[word] as number, first);
  }
}

const readLines = ({ buffer, byteOffset, byteLength }: Uint8Array): string[] =>
  Buffer.from(buffer, byteOffset, byteLength).toString().split('\n');
