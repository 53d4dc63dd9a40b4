import type { WireContent, WireGenerateRequest, WirePart } from './messages.js';

/** https://ai.google.dev/gemini-api/docs/tokens */
export const charactersPerToken = 4;

export const countTextTokens = (text: string): number => Math.ceil(text.length / charactersPerToken);

/**
 * Tokens of one picture by media resolution, of Gemini 3 and later; 1120 unless asked otherwise
 * (https://ai.google.dev/gemini-api/docs/media-resolution).
 */
const imageTokens: Readonly<Record<string, number>> = {
  MEDIA_RESOLUTION_LOW: 280,
  MEDIA_RESOLUTION_MEDIUM: 560,
  MEDIA_RESOLUTION_HIGH: 1120,
  MEDIA_RESOLUTION_ULTRA_HIGH: 2240,
};
const defaultImageTokens = 1120;

/** Gemini 2.5 and earlier count 258 for a picture or tile of up to 768 pixels a side. */
const legacyImageTokens = 258;

/** Gemini counts 32 tokens a second of audio; a voice recording of 32 kbit/s is 4,000 bytes a second. */
const audioTokensPerByte = 32 / 4000;

/** Tokens of one PDF page; emulated pages have 50 kB. */
const documentPageTokens = 560;
const documentPageBytes = 50_000;

/** Tokens of a second of video at one frame a second, with its sound; emulated seconds have 250 kB. */
const videoTokensPerByte = (70 + 32) / 250_000;

export interface InputTokens {
  readonly total: number;
  readonly byModality: readonly { readonly modality: string; readonly tokenCount: number }[];
}

/** Input tokens of a request, counted as Gemini documents. */
export function countInputTokens(request: WireGenerateRequest, model: string): InputTokens {
  const sums = new Map<string, number>();
  const resolution = request.generationConfig?.mediaResolution;
  const add = (content: WireContent | undefined) => {
    for (const part of content?.parts ?? []) {
      const [modality, tokens] = countPart(part, model, resolution);
      sums.set(modality, (sums.get(modality) ?? 0) + tokens);
    }
  };
  add(request.systemInstruction);
  for (const content of request.contents ?? []) add(content);
  let total = 0;
  for (const tokens of sums.values()) total += tokens;
  return { total, byModality: [...sums].map(([modality, tokenCount]) => ({ modality, tokenCount })) };
}

function countPart(part: WirePart, model: string, resolution: string | undefined): [string, number] {
  if (part.text !== undefined) return ['TEXT', countTextTokens(part.text)];
  const media = part.inlineData ?? part.fileData;
  const kind = media?.mimeType?.split('/')[0];
  const bytes = part.inlineData?.data ? byteLengthOfBase64(part.inlineData.data) : 0;
  if (kind === 'audio') return ['AUDIO', Math.ceil(bytes * audioTokensPerByte)];
  if (kind === 'video') return ['VIDEO', Math.ceil(bytes * videoTokensPerByte)];
  if (kind === 'image') {
    if (/gemini-(1|2)[.-]/.test(model)) return ['IMAGE', legacyImageTokens];
    const level = part.mediaResolution?.level ?? resolution ?? '';
    return ['IMAGE', imageTokens[level] ?? defaultImageTokens];
  }
  if (media) return ['DOCUMENT', Math.max(1, Math.ceil(bytes / documentPageBytes)) * documentPageTokens];
  return ['TEXT', countTextTokens(JSON.stringify(part))];
}

/** Output tokens of a part that is not text. */
export const countOutputTokens = (part: WirePart, model: string): number =>
  countPart(part, model, undefined)[1];

export function byteLengthOfBase64(data: string): number {
  const padding = data.endsWith('==') ? 2 : data.endsWith('=') ? 1 : 0;
  return Math.floor((data.length * 3) / 4) - padding;
}
