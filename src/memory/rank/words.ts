/** Scripts that are written without spaces between words; they are indexed by pairs of characters. */
const unspacedRun =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu;
const word = /[\p{L}\p{N}\p{M}]+/gu;
const asciiWord = /[a-z0-9]+/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what ASCII is.
const asciiOnly = /^[\x00-\x7f]*$/;
const apostrophe = /(?<=\p{L})['’](?=\p{L})/gu;
const asciiApostrophe = /(?<=[a-z])'(?=[a-z])/g;
/** Accents of Latin, Greek and Cyrillic; marks of other scripts carry sounds and stay. */
const accent = /[\u0300-\u036f]/g;

/** Of the beginning, and as many of the end: splitting ten megabytes would stop everything else for two seconds. */
const maxIndexedChars = 100_000;

/**
 * The words of a text as the index keeps them: Unicode words in lower case without accents, and
 * overlapping pairs of characters where the script does not separate words. The middle of a text of more
 * than 200,000 characters is left out.
 */
export function splitWords(whole: string): string[] {
  const text =
    whole.length > 2 * maxIndexedChars
      ? `${whole.slice(0, maxIndexedChars)} ${whole.slice(-maxIndexedChars)}`
      : whole;
  if (asciiOnly.test(text)) {
    const lower = text.toLowerCase();
    // Tested first: the replacement takes longer than all the rest.
    return (lower.includes("'") ? lower.replace(asciiApostrophe, '') : lower).match(asciiWord) ?? [];
  }
  const folded = text
    .normalize('NFKD')
    .replace(accent, '')
    .normalize('NFC')
    .toLowerCase()
    .replace(apostrophe, '');
  const words: string[] = [];
  for (const [run] of folded.matchAll(word)) {
    let spacedFrom = 0;
    for (const unspaced of run.matchAll(unspacedRun)) {
      if (unspaced.index > spacedFrom) words.push(run.slice(spacedFrom, unspaced.index));
      addPairs(words, [...unspaced[0]]);
      spacedFrom = unspaced.index + unspaced[0].length;
    }
    if (spacedFrom < run.length) words.push(run.slice(spacedFrom));
  }
  return words;
}

function addPairs(words: string[], characters: readonly string[]): void {
  if (characters.length === 1) words.push(...characters);
  for (let at = 0; at + 1 < characters.length; at++) {
    words.push(`${characters[at]}${characters[at + 1]}`);
  }
}
