/** Longer than a chunk, with characters of two, three and four bytes all over. */
const filler = Array.from(
  { length: 8 },
  (_, line) =>
    `Zeile ${line}: Grüße aus Zürich, „dreißig Küsse“ — 秋風吹不盡, 🍂🍁 und noch ein paar Wörter.`,
).join('\n');

const bigCharacters = 10 * 1024 * 1024;

export const promptOf = (nonce: string): string => `Frage ${nonce}: Wie war der Spätsommer in 京都? 🍂`;

/** The model calls a tool before it answers this one. */
export const toolPromptOf = (nonce: string): string => `Notiere ${nonce}, dann: ${promptOf(nonce)}`;

export const asksForTool = (prompt: string): boolean => prompt.startsWith('Notiere ');

/** What the emulator answers to a prompt, and so what a client must get to read: no more, no less. */
export const answerTo = (prompt: string): string => `Antwort auf „${prompt}“\n${filler}\nEnde 🏁`;

/** What is left of an answer that the emulator ends with MAX_TOKENS. */
export function halfOf(text: string): string {
  return text.slice(0, text.indexOf(' ', Math.round(text.length / 2)));
}

/** What the emulator makes of an answer of one chunk of 10 MB. */
export function bigOf(text: string): string {
  const repeated = `${text}\n`.repeat(Math.ceil(bigCharacters / (text.length + 1)));
  // The cut may leave half a character, which is replaced wherever it is sent.
  return Buffer.from(repeated.slice(0, bigCharacters)).toString();
}
