/** Gemini's rule of thumb for Latin text: https://ai.google.dev/gemini-api/docs/tokens */
const charactersPerToken = 4;
/** Other scripts split finer: about one token per CJK character, one per two letters elsewhere. */
const tokensPerWideCharacter = 1;
const tokensPerOtherCharacter = 0.5;

const firstNonLatin = 0x0250;
const firstWide = 0x2e80;

/** Estimated tokens of a text; errs on the high side. */
export function estimateTextTokens(text: string): number {
  let latin = 0;
  let tokens = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < firstNonLatin) latin += 1;
    else tokens += unit < firstWide ? tokensPerOtherCharacter : tokensPerWideCharacter;
  }
  return Math.ceil(tokens + latin / charactersPerToken);
}
