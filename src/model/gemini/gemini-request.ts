import type {
  Content,
  GenerateContentConfig,
  GenerateContentParameters,
  Part,
  PartMediaResolutionLevel,
  VideoMetadata,
} from '@google/genai';
import type { MediaDetail, MediaExcerpt } from '../../core/media.js';
import type { GenerationOptions, ModelContent, ModelPart, ModelRequest } from '../chat-model.js';

const resolutions: Readonly<Record<MediaDetail, PartMediaResolutionLevel>> = {
  low: 'MEDIA_RESOLUTION_LOW' as PartMediaResolutionLevel,
  medium: 'MEDIA_RESOLUTION_MEDIUM' as PartMediaResolutionLevel,
  high: 'MEDIA_RESOLUTION_HIGH' as PartMediaResolutionLevel,
  'ultra-high': 'MEDIA_RESOLUTION_ULTRA_HIGH' as PartMediaResolutionLevel,
};

/** Models before Gemini 3 refuse a resolution for a single part. */
const hasNoPartResolution = /^gemini-[12](\.|-|$)/;

function toPart(part: ModelPart, model: string): Part {
  switch (part.type) {
    case 'text':
      return { text: part.text };
    case 'data': {
      const { buffer, byteLength, byteOffset } = part.data;
      const data = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
      const inlineData = { mimeType: part.mimeType, data };
      if (part.detail === undefined || hasNoPartResolution.test(model)) return { inlineData };
      return { inlineData, mediaResolution: { level: resolutions[part.detail] } };
    }
    case 'file': {
      const videoMetadata = part.excerpt && toVideoMetadata(part.excerpt);
      const fileData = { mimeType: part.mimeType, fileUri: part.uri };
      return videoMetadata ? { fileData, videoMetadata } : { fileData };
    }
    case 'upload':
      throw new Error('A part was to be uploaded and is not: a fault of this package.');
  }
}

function toVideoMetadata({ endMs, startMs }: MediaExcerpt): VideoMetadata {
  const seconds = (ms: number) => `${ms / 1000}s`;
  return {
    startOffset: seconds(startMs),
    ...(endMs === undefined ? {} : { endOffset: seconds(endMs) }),
  };
}

function toContent(content: ModelContent, model: string): Content {
  const { verbatim } = content;
  // Signatures are only valid for the model that gave them.
  const isOwn = verbatim !== undefined && verbatim.model === model && verbatim.parts.length > 0;
  return {
    role: content.role,
    parts: isOwn ? (verbatim.parts as Part[]) : content.parts.map((part) => toPart(part, model)),
  };
}

function toConfig(generation: GenerationOptions): GenerateContentConfig {
  const { includeThoughts, safetySettings, stopSequences, thinkingLevel, ...plain } = generation;
  const config: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(plain)) if (value !== undefined) config[name] = value;
  if (stopSequences !== undefined) config.stopSequences = [...stopSequences];
  if (safetySettings !== undefined) config.safetySettings = [...safetySettings];
  if (thinkingLevel !== undefined || includeThoughts === true) {
    config.thinkingConfig = {
      ...(thinkingLevel === undefined ? {} : { thinkingLevel: thinkingLevel.toUpperCase() }),
      ...(includeThoughts === true ? { includeThoughts } : {}),
    };
  }
  return config;
}

/** The request as `@google/genai` takes it. Holds only what was set. */
export function toGeminiParameters(
  request: ModelRequest,
): GenerateContentParameters & { config: GenerateContentConfig } {
  const config = toConfig(request.generation);
  if (request.systemInstruction !== undefined) config.systemInstruction = request.systemInstruction;
  // Continuing a cut answer by itself would be a second call that no lease covers.
  config.automaticContinuation = false;
  return {
    model: request.model,
    contents: request.contents.map((content) => toContent(content, request.model)),
    config,
  };
}
