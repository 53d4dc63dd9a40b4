import type {
  Content,
  GenerateContentConfig,
  GenerateContentParameters,
  Part,
  PartMediaResolutionLevel,
  VideoMetadata,
} from '@google/genai';
import type { MediaDetail, MediaExcerpt } from '../../core/media.js';
import type { ModelMessage, ModelPart, ModelRequest } from '../chat-model.js';
import { capabilitiesOf } from './gemini-capabilities.js';
import { fromMessagePart, providerName } from './gemini-parts.js';

const resolutions: Readonly<Record<MediaDetail, PartMediaResolutionLevel>> = {
  low: 'MEDIA_RESOLUTION_LOW' as PartMediaResolutionLevel,
  medium: 'MEDIA_RESOLUTION_MEDIUM' as PartMediaResolutionLevel,
  high: 'MEDIA_RESOLUTION_HIGH' as PartMediaResolutionLevel,
  'ultra-high': 'MEDIA_RESOLUTION_ULTRA_HIGH' as PartMediaResolutionLevel,
};

function toPart(part: ModelPart, hasDetail: boolean): Part | undefined {
  switch (part.type) {
    case 'text':
      return { text: part.text };
    case 'data': {
      const { buffer, byteLength, byteOffset } = part.data;
      const data = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
      const inlineData = { mimeType: part.mimeType, data };
      if (part.detail === undefined || !hasDetail) return { inlineData };
      return { inlineData, mediaResolution: { level: resolutions[part.detail] } };
    }
    case 'uri': {
      const videoMetadata = part.excerpt && toVideoMetadata(part.excerpt);
      const fileData = { mimeType: part.mimeType, fileUri: part.uri };
      return videoMetadata ? { fileData, videoMetadata } : { fileData };
    }
    case 'upload':
      throw new Error('A part was to be uploaded and is not: a fault of this package.');
    case 'tool-call':
      return {
        functionCall: { id: part.callId, name: part.name, args: part.input as Record<string, unknown> },
      };
    case 'tool-result': {
      const response = part.isError ? { error: part.output } : { output: part.output };
      return { functionResponse: { id: part.callId, name: part.name, response } };
    }
    case 'reasoning':
    case 'provider':
      return undefined;
  }
}

function toVideoMetadata({ endMs, startMs }: MediaExcerpt): VideoMetadata {
  const seconds = (ms: number) => `${ms / 1000}s`;
  return {
    startOffset: seconds(startMs),
    ...(endMs === undefined ? {} : { endOffset: seconds(endMs) }),
  };
}

/** The message for Gemini; undefined if nothing in it can be said to this model. */
function toContent(message: ModelMessage, model: string): Content | undefined {
  const { origin, providerMetadata } = message;
  // Signatures are only valid for the model that gave them.
  const isOwn = origin?.provider === providerName && origin.model === model;
  const hasDetail = capabilitiesOf(model).media.detail === true;
  const verbatim = isOwn ? providerMetadata?.[providerName]?.parts : undefined;
  const parts = Array.isArray(verbatim)
    ? (verbatim as Part[])
    : message.parts.flatMap((part) => {
        const own = isOwn && isMessagePart(part) ? fromMessagePart(part) : undefined;
        return own ?? toPart(part, hasDetail) ?? [];
      });
  if (parts.length === 0) return undefined;
  return { role: message.role === 'assistant' ? 'model' : 'user', parts };
}

const isMessagePart = (part: ModelPart) =>
  part.type === 'text' || part.type === 'reasoning' || part.type === 'provider' || part.type === 'tool-call';

/** Settings of the request itself, which this package owns. */
const ownSettings: ReadonlySet<string> = new Set(['abortSignal', 'httpOptions']);

function toConfig({ generation, model, providerOptions }: ModelRequest): GenerateContentConfig {
  const { includeThoughts, stopSequences, thinkingLevel, ...plain } = generation;
  const config: Record<string, unknown> = {};
  const named = { ...plain, ...providerOptions?.[providerName] };
  for (const [name, value] of Object.entries(named)) {
    if (value !== undefined && !ownSettings.has(name)) config[name] = value;
  }
  if (stopSequences !== undefined) config.stopSequences = [...stopSequences];
  const level = capabilitiesOf(model).thinkingLevels?.find((each) => each === thinkingLevel);
  if (level !== undefined || includeThoughts === true) {
    config.thinkingConfig = {
      ...(level === undefined ? {} : { thinkingLevel: level.toUpperCase() }),
      ...(includeThoughts === true ? { includeThoughts } : {}),
    };
  }
  return config;
}

/** The request as `@google/genai` takes it. Holds only what was set. */
export function toGeminiParameters(
  request: ModelRequest,
): GenerateContentParameters & { config: GenerateContentConfig } {
  const config = toConfig(request);
  if (request.systemInstruction !== undefined) config.systemInstruction = request.systemInstruction;
  // Continuing a cut answer by itself would be a second call that no lease covers.
  config.automaticContinuation = false;
  return {
    model: request.model,
    contents: request.messages.flatMap((message) => toContent(message, request.model) ?? []),
    config,
  };
}
