import type { MediaCapabilities } from '../../../core/media.js';
import type { BuiltInTools, ModelCapabilities, ThinkingLevel } from '../../chat-model.js';

/**
 * What every Gemini model takes inline:
 * https://ai.google.dev/gemini-api/docs/image-understanding#supported-formats,
 * https://ai.google.dev/gemini-api/docs/audio#supported-formats and
 * https://ai.google.dev/gemini-api/docs/document-processing
 */
const inline = [
  ...['image/jpeg', 'image/png', 'image/webp', 'image/heic', 'image/heif'],
  ...['audio/wav', 'audio/mp3', 'audio/aiff', 'audio/aac', 'audio/ogg', 'audio/flac'],
  ...[
    'application/pdf',
    'text/plain',
    'text/markdown',
    'text/html',
    'text/csv',
    'application/json',
    'text/xml',
  ],
] as const;

/**
 * Containers that Gemini decodes itself: from the media type of the bytes to Gemini's name for it,
 * https://ai.google.dev/gemini-api/docs/video-understanding#supported-formats
 */
const upload = {
  'video/mp4': 'video/mp4',
  'video/quicktime': 'video/mov',
  'video/webm': 'video/webm',
  'video/mpeg': 'video/mpeg',
  'video/x-msvideo': 'video/avi',
  'video/x-flv': 'video/x-flv',
  'video/x-ms-wmv': 'video/wmv',
  'video/3gpp': 'video/3gpp',
} as const;

/** "Gemini supports up to 1000 pages": https://ai.google.dev/gemini-api/docs/document-processing */
const maxPdfPages = 1000;

const commonMedia: MediaCapabilities = { inline, upload, maxPdfPages };
/** Gemini 3 and later: https://ai.google.dev/gemini-api/docs/media-resolution */
const mediaWithDetail: MediaCapabilities = { ...commonMedia, detail: true };

const since3 = (...thinkingLevels: readonly ThinkingLevel[]): ModelCapabilities => ({
  media: mediaWithDetail,
  thinkingLevels,
  builtIn: ['search', 'urls', 'code', 'maps', 'fileSearch'],
  tools: true,
  toolResultMedia: 'inside',
  jsonSchema: true,
});
const of2_5: ModelCapabilities = {
  media: commonMedia,
  thinkingBudget: true,
  builtIn: ['search', 'urls', 'code', 'maps', 'fileSearch'],
  tools: true,
  // "Function calling with a response mime type: 'application/json' is unsupported"
  jsonSchema: 'alone',
};

const pictures = inline.filter((type) => type.startsWith('image/'));
/** https://ai.google.dev/gemini-api/docs/image-generation */
const draws = (...builtIn: readonly (keyof BuiltInTools)[]): ModelCapabilities => ({
  media: { inline: [...pictures, 'application/pdf', 'text/plain'] },
  modalities: ['text', 'image'],
  builtIn,
});
/** https://ai.google.dev/gemini-api/docs/speech-generation */
const speaks: ModelCapabilities = { media: { inline: ['text/plain'] }, modalities: ['audio'] };

/** Of an unknown name: only what every model takes. */
const common: ModelCapabilities = { media: commonMedia };
/** https://ai.google.dev/gemma/docs/core/gemma_on_gemini_api */
const gemma: ModelCapabilities = { media: { inline: pictures } };

/**
 * By model name, November 2026. Thinking levels: https://ai.google.dev/gemini-api/docs/thinking and the
 * page of each model. Aliases have what all models have that they may stand for.
 */
const capabilitiesByModel: ReadonlyMap<string, ModelCapabilities> = new Map(
  Object.entries({
    'gemini-4-argon': since3('low', 'medium', 'high'),
    'gemini-4-carbon': since3('low', 'medium', 'high'),
    'gemini-4-neon': since3('low', 'medium', 'high'),
    'gemini-4-hydrogen': since3('low', 'medium', 'high', 'xhigh'),
    'gemini-3.8-flash': since3('low', 'medium', 'high'),
    'gemini-3.7-flash': since3('low', 'medium', 'high'),
    'gemini-3.6-flash': since3('low', 'medium', 'high'),
    'gemini-3.5-flash': since3('minimal', 'low', 'medium', 'high'),
    'gemini-3.5-flash-lite': since3('minimal', 'low', 'medium', 'high'),
    'gemini-3.1-flash-lite': since3('minimal', 'low', 'medium', 'high'),
    'gemini-3.1-pro': since3('low', 'medium', 'high'),
    'gemini-3-flash': since3('minimal', 'low', 'medium', 'high'),
    'gemini-pro-latest': since3('low', 'medium', 'high'),
    'gemini-flash-latest': since3('low', 'medium', 'high'),
    'gemini-flash-lite-latest': since3('minimal', 'low', 'medium', 'high'),
    'gemini-2.5-pro': of2_5,
    'gemini-2.5-flash': of2_5,
    'gemini-2.5-flash-lite': of2_5,
    'gemini-3-pro-image': draws('search'),
    'gemini-3.1-flash-image': draws('search'),
    'gemini-3.1-flash-lite-image': draws(),
    'gemini-nano-banana-2.1': draws('search'),
    'gemini-2.5-flash-image': draws(),
    'gemini-3.8-flash-tts': speaks,
    'gemini-3.8-flash-lite-tts': speaks,
    'gemini-3.1-flash-tts': speaks,
  }),
);

const prefix = /^models\//;
/** Parts of a name that do not change its capabilities: `gemini-3.8-flash-001`, `gemini-3.1-pro-preview`. */
const suffix = /-(?:\d{3}|latest|customtools|exp(?:-[\d-]+)?|preview(?:-[\d-]+)?)$/;

export const geminiModelNames: readonly string[] = [...capabilitiesByModel.keys()];

/** What a model takes. Of an unknown name: what all take. */
export function capabilitiesOf(model: string): ModelCapabilities {
  let name = model.replace(prefix, '');
  if (name.startsWith('gemma-')) return gemma;
  for (;;) {
    const found = capabilitiesByModel.get(name);
    const shorter = name.replace(suffix, '');
    if (found || shorter === name) return found ?? common;
    name = shorter;
  }
}

/** Gemma before 4 answers 400: "Developer instruction is not enabled for models/gemma-3-27b-it". */
export const takesSystemInstruction = (model: string): boolean => !/^(?:models\/)?gemma-[123]/.test(model);

/** Image models since Gemini 3 answer 400: "Image part is missing a thought_signature". */
export const needsSignedPictures = (model: string): boolean =>
  capabilitiesOf(model).modalities?.includes('image') === true && !/^(?:models\/)?gemini-2/.test(model);

/** Models since Gemini 3 answer 400: "Function call is missing a thought_signature in functionCall parts". */
export const needsSignedCalls = (model: string): boolean =>
  capabilitiesOf(model).toolResultMedia === 'inside';
