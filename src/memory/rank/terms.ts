import { splitWords } from './words.js';

/** `Name: text`, the form of prompts with several speakers. */
const speakerLabel = /^\s*(\p{Lu}[\p{L}\p{M}'’ .-]{0,40}?):\s/u;

/**
 * What the index reads of a text, in one line: the speaker in lower case if the text begins with a name and
 * a colon, a colon, and the words separated by spaces. A store that keeps it beside the turn need not split
 * the text again to rank it.
 */
export function termsOf(text: string): string {
  const speaker = speakerLabel.exec(text)?.[1]?.toLowerCase() ?? '';
  return `${speaker}:${splitWords(text).join(' ')}`;
}
