import { languages } from './languages.js';
import { LooseTerms } from './loose-terms.js';
import { speakerOf } from './speaker.js';
import { packHeader } from './term-block-layout.js';
import { wordKey } from './word-key.js';

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
  const entries = Array.from(terms.entries(), ([word, postings]) => {
    return { word, postings, key: wordKey(stem(word)) };
  }).sort((a, b) => a.key - b.key);
  const postings = Uint16Array.from(entries.flatMap((entry) => entry.postings));
  let end = 0;
  const ends = entries.map((entry) => {
    end += entry.postings.length;
    return end;
  });
  const distances = documents.map(({ sequence }) => sequence - firstSequence);
  const speakers = Buffer.from(documents.map(({ text }) => speakerOf(text) ?? '').join('\n'));
  const words = Buffer.from(entries.map(({ word }) => word).join('\n'));
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
    Buffer.from(Float64Array.from(entries, ({ key }) => key).buffer),
    Buffer.from(Uint32Array.from([...ends, ...lengths, ...distances]).buffer),
    Buffer.from(postings.buffer),
    speakers,
    words,
  ]);
}
