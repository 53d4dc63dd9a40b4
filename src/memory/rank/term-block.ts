import { splitWords } from './words.js';

/** `Name: text`, the form in which several speakers are told apart inside prompts. */
const speakerLabel = /^\s*(\p{Lu}[\p{L}\p{M}'’ .-]{0,40}?):\s/u;

/** Who speaks in a text that begins with a name and a colon, in lower case. */
function speakerOf(text: string): string | undefined {
  return speakerLabel.exec(text)?.[1]?.toLowerCase();
}

/**
 * A posting says where a word occurs: the position of the document times 64 plus how often (63 at most,
 * which BM25 tells from more by a thousandth). One small integer keeps both the memory and the time of
 * building low.
 */
export const countBits = 6;
export const largestCount = 2 ** countBits - 1;

/** What the ranking keeps of some documents that follow one another: 1,024 at most. */
export interface TermBlock {
  readonly sequences: readonly number[];
  /** Words in each document. */
  readonly lengths: readonly number[];
  readonly speakers: readonly (string | undefined)[];
  readonly words: readonly string[];
  /** How many postings each word has. */
  readonly postingCounts: ArrayLike<number>;
  /** All postings, word by word. */
  readonly postings: ArrayLike<number>;
}

export function makeTermBlock(
  documents: readonly { readonly sequence: number; readonly text: string }[],
): TermBlock {
  const postingsOf = new Map<string, number[]>();
  const lengths = documents.map(({ text }, at) => {
    const words = splitWords(text);
    for (const word of words) {
      const postings = postingsOf.get(word);
      const last = postings?.[postings.length - 1] ?? -1;
      if (!postings) postingsOf.set(word, [(at << countBits) + 1]);
      else if (last >> countBits !== at) postings.push((at << countBits) + 1);
      else if ((last & largestCount) < largestCount) postings[postings.length - 1] = last + 1;
    }
    return words.length;
  });
  return {
    sequences: documents.map(({ sequence }) => sequence),
    lengths,
    speakers: documents.map(({ text }) => speakerOf(text)),
    words: [...postingsOf.keys()],
    postingCounts: [...postingsOf.values()].map((postings) => postings.length),
    postings: [...postingsOf.values()].flat(),
  };
}

/** Raised when the splitting of words or the layout changes; blocks of another format are made anew. */
const format = 1;
const headerLength = 4;

/**
 * Bytes to store: numbers of 32 bits (format, documents, words, postings; then by document its length
 * and its distance from `firstSequence`), numbers of 16 bits (postings by word, postings), and text
 * (speakers, then words, a line each), in the byte order of the machine.
 */
export function packTermBlock(block: TermBlock, firstSequence: number): Uint8Array {
  const { sequences, lengths, speakers, words, postingCounts, postings } = block;
  const header = [format, sequences.length, words.length, postings.length];
  const distances = sequences.map((sequence) => sequence - firstSequence);
  const numbers = Uint32Array.from([...header, ...lengths, ...distances]);
  const shorts = new Uint16Array(words.length + postings.length);
  shorts.set(postingCounts);
  shorts.set(postings, words.length);
  const text = [...speakers.map((speaker) => speaker ?? ''), ...words].join('\n');
  return Buffer.concat([Buffer.from(numbers.buffer), Buffer.from(shorts.buffer), Buffer.from(text)]);
}

/** Nothing where the bytes are of another format, or of a machine with another byte order. */
export function unpackTermBlock(packed: Uint8Array, firstSequence: number): TermBlock | undefined {
  // A copy begins where numbers of 32 bits may begin.
  const { buffer } = new Uint8Array(packed);
  const [found, documents, words, postings] = new Uint32Array(buffer, 0, headerLength) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (found !== format) return undefined;
  const lengths = [...new Uint32Array(buffer, headerLength * 4, documents)];
  const distances = [...new Uint32Array(buffer, (headerLength + documents) * 4, documents)];
  const shortsFrom = (headerLength + 2 * documents) * 4;
  const postingCounts = new Uint16Array(buffer, shortsFrom, words);
  const textFrom = shortsFrom + (words + postings) * 2;
  const lines = Buffer.from(buffer, textFrom).toString().split('\n');
  return {
    sequences: distances.map((distance) => firstSequence + distance),
    lengths,
    speakers: lines.slice(0, documents).map((speaker) => speaker || undefined),
    words: lines.slice(documents, documents + words),
    postingCounts,
    postings: new Uint16Array(buffer, shortsFrom + words * 2, postings),
  };
}
