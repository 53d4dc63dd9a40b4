import type { MediaDetail } from './media.js';

/**
 * Input tokens of attachments as Gemini 3 counts them.
 * Sources: https://ai.google.dev/gemini-api/docs/media-resolution (pictures by resolution, 1,120 unless
 * asked otherwise; a PDF page 560) and https://ai.google.dev/gemini-api/docs/audio (32 tokens a second).
 * Frames are sent as pictures, so each costs as much as one.
 */
const tokensPerDetail: Readonly<Record<MediaDetail, number>> = {
  low: 280,
  medium: 560,
  high: 1120,
  'ultra-high': 2240,
};
export const tokensPerPdfPage = 560;
const tokensPerAudioSecond = 32;
/** One frame of a clip that Gemini decodes itself, at one frame a second. */
const tokensPerVideoFrame = 70;

/** The detail of a picture that is sent without one. */
const defaultDetail: MediaDetail = 'high';

export function imageTokens(detail: MediaDetail = defaultDetail): number {
  return tokensPerDetail[detail];
}

export function audioTokens(durationMs: number): number {
  return Math.ceil((durationMs / 1000) * tokensPerAudioSecond);
}

export function videoTokens(durationMs: number, hasSound: boolean): number {
  const frames = Math.ceil(durationMs / 1000);
  return frames * tokensPerVideoFrame + (hasSound ? audioTokens(durationMs) : 0);
}
