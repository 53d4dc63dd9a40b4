import { languages } from './languages.js';
import { LooseTerms } from './loose-terms.js';
import { speakerOf } from './speaker.js';
import { packHeader } from './term-block-layout.js';
import { firstKeyFrom, wordKey } from './word-key.js';

/**
 * The bytes to store of documents that follow one another, 1,024 at most. Words stand in the order of
 * their stems' keys in the language of most of the documents, so that one search finds all forms of a
 * word of a query in that language.
 */
export function packTermBlock(
  documents: readonly { readonly sequence: number; readonly text: string }[],
  firstSequence: number,
): Uint8Array {
  const terms = new LooseTerms();
  const lengths = documents.map(({ text }, at) => terms.add(at, text));
  const stopWordHits = languages.map((language) => terms.stopWordHits(language));
  const most = Math.max(...stopWordHits);
  const mainLanguage = most > 0 ? stopWordHits.indexOf(most) : -1;
  const stem = languages[mainLanguage]?.stem ?? ((word: string) => word);
  const unsorted = [...terms.entries()];
  const unsortedKeys = Float64Array.from(unsorted, ([word]) => wordKey(stem(word)));
  const { keys, order } = sortKeys(unsortedKeys);
  const entries = Array.from(order, (at) => unsorted[at] as (typeof unsorted)[number]);
  const postings = Uint16Array.from(entries.flatMap(([, each]) => each));
  let end = 0;
  const ends = entries.map(([, each]) => {
    end += each.length;
    return end;
  });
  const distances = documents.map(({ sequence }) => sequence - firstSequence);
  const speakers = Buffer.from(documents.map(({ text }) => speakerOf(text) ?? '').join('\n'));
  const words = Buffer.from(entries.map(([word]) => word).join('\n'));
  const header = packHeader({
    documents: documents.length,
    words: entries.length,
    postings: postings.length,
    speakerBytes: speakers.length,
    wordBytes: words.length,
    mainLanguage,
    stopWordHits,
  });
  return Buffer.concat([
    header,
    Buffer.from(keys.buffer),
    Buffer.from(Uint32Array.from([...ends, ...lengths, ...distances]).buffer),
    Buffer.from(postings.buffer),
    speakers,
    words,
  ]);
}

/** Lowest first, and where each stood before. Numbers sort several times as fast as what has them. */
function sortKeys(unsorted: Float64Array): { readonly keys: Float64Array; readonly order: Uint32Array } {
  const keys = unsorted.slice().sort();
  const order = new Uint32Array(keys.length);
  const isTaken = new Uint8Array(keys.length);
  for (let from = 0; from < keys.length; from++) {
    let at = firstKeyFrom(keys, unsorted[from] as number);
    while (isTaken[at]) at++;
    isTaken[at] = 1;
    order[at] = from;
  }
  return { keys, order };
}
