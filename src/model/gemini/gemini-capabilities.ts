import type { MediaCapabilities } from '../../core/media.js';
import type { ModelCapabilities, ThinkingLevel } from '../chat-model.js';

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
  tools: true,
  toolResultMedia: 'inside',
  jsonSchema: true,
});
const before3: ModelCapabilities = { media: commonMedia, tools: true, jsonSchema: true };

/** Of an unknown name: only what every model takes. */
const common: ModelCapabilities = { media: commonMedia };

/**
 * By model name, November 2026. Thinking levels: https://ai.google.dev/gemini-api/docs/thinking and the
 * page of each model.
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
    'gemini-2.5-pro': before3,
    'gemini-2.5-flash': before3,
    'gemini-2.5-flash-lite': before3,
  }),
);

/** Parts of a name that do not change its capabilities: `models/gemini-3.8-flash-001`. */
const affixes = /^models\/|-(?:\d{3}|latest|exp(?:-[\d-]+)?|preview(?:-[\d-]+)?)$/g;

export const geminiModelNames: readonly string[] = [...capabilitiesByModel.keys()];

export function capabilitiesOf(model: string): ModelCapabilities {
  return capabilitiesByModel.get(model) ?? capabilitiesByModel.get(model.replace(affixes, '')) ?? common;
}
