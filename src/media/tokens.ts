/**
 * Input tokens of attachments as Gemini 3 counts them with no `media_resolution` set.
 * Sources: https://ai.google.dev/gemini-api/docs/media-resolution (an image takes up to 1,120 tokens, a
 * PDF page 560) and https://ai.google.dev/gemini-api/docs/audio (32 tokens a second). Frames are sent
 * as pictures, so each costs as much as one.
 */
export const tokensPerImage = 1120;
export const tokensPerPdfPage = 560;
const tokensPerAudioSecond = 32;
/** Of a clip that Gemini decodes itself, at one frame a second. */
const tokensPerVideoFrame = 70;
/** "For Gemini models, a token is equivalent to about 4 characters": https://ai.google.dev/gemini-api/docs/tokens */
const charactersPerToken = 4;

export function audioTokens(durationMs: number): number {
  return Math.ceil((durationMs / 1000) * tokensPerAudioSecond);
}

export function textTokens(characters: number): number {
  return Math.ceil(characters / charactersPerToken);
}

export function videoTokens(durationMs: number, hasSound: boolean): number {
  const frames = Math.ceil(durationMs / 1000);
  return frames * tokensPerVideoFrame + (hasSound ? audioTokens(durationMs) : 0);
}
