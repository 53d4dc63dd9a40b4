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

interface Conversion {
  readonly model: string;
  readonly hasDetail: boolean;
  /** Ids of the function calls so far; a result may only name one of them. */
  readonly callIds: Set<string>;
}

/** The part in a form that every Gemini model takes; undefined if it has none. */
function toPart(part: ModelPart, { callIds, hasDetail }: Conversion): Part | undefined {
  switch (part.type) {
    case 'text':
      return part.text === '' ? undefined : { text: part.text };
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
      throw new Error('A part that has to be uploaded first was not: a fault of this package.');
    case 'tool-call':
      return {
        functionCall: { id: part.callId, name: part.name, args: part.input as Record<string, unknown> },
      };
    case 'tool-result': {
      const id = callIds.has(part.callId) ? { id: part.callId } : {};
      const response = part.isError ? { error: part.output } : { output: part.output };
      return { functionResponse: { ...id, name: part.name, response } };
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

/** The message for Gemini; undefined if it has nothing that this model takes. */
function toContent(message: ModelMessage, conversion: Conversion): Content | undefined {
  const { origin, parts, providerMetadata, role } = message;
  // Thought signatures are only valid for the model that gave them.
  const isOwn = origin?.provider === providerName && origin.model === conversion.model;
  // Turns stored by version 0.1 hold all parts of an answer together.
  const verbatim = isOwn ? providerMetadata?.[providerName]?.parts : undefined;
  const converted = Array.isArray(verbatim)
    ? (verbatim as Part[])
    : parts.flatMap((part) => (isOwn && toOwnPart(part)) || toPart(part, conversion) || []);
  for (const { functionCall } of converted) if (functionCall?.id) conversion.callIds.add(functionCall.id);
  if (converted.length === 0) return undefined;
  return { role: role === 'assistant' ? 'model' : 'user', parts: converted };
}

const toOwnPart = (part: ModelPart): Part | undefined =>
  part.type === 'data' || part.type === 'uri' || part.type === 'upload' ? undefined : fromMessagePart(part);

/** Fields of `GenerateContentConfig` that the request or the call itself decides. */
const reservedFields: ReadonlySet<string> = new Set([
  'abortSignal',
  'automaticContinuation',
  'automaticFunctionCalling',
  'httpOptions',
  'systemInstruction',
]);

function toConfig({
  generation,
  model,
  providerOptions,
  systemInstruction,
}: ModelRequest): GenerateContentConfig {
  const { includeThoughts, stopSequences, thinkingLevel, ...plain } = generation;
  const { thinkingConfig: ownThinking, ...own } = providerOptions?.[providerName] ?? {};
  const level = capabilitiesOf(model).thinkingLevels?.find((each) => each === thinkingLevel);
  const thinkingConfig = {
    ...(level !== undefined && { thinkingLevel: level.toUpperCase() }),
    ...(includeThoughts === true && { includeThoughts }),
    ...(ownThinking as object | undefined),
  };
  const fields = {
    ...plain,
    ...(stopSequences !== undefined && { stopSequences: [...stopSequences] }),
    ...own,
    ...(Object.keys(thinkingConfig).length > 0 && { thinkingConfig }),
  };
  const wanted = Object.entries(fields).filter(
    ([name, value]) => value !== undefined && !reservedFields.has(name),
  );
  return {
    ...Object.fromEntries(wanted),
    ...(systemInstruction !== undefined && { systemInstruction }),
    // Either would make further calls that no lease covers.
    automaticContinuation: false,
    automaticFunctionCalling: { disable: true },
  };
}

/** The request as `@google/genai` takes it. Holds only what was set. */
export function toGeminiParameters(
  request: ModelRequest,
): GenerateContentParameters & { config: GenerateContentConfig } {
  const { messages, model } = request;
  const hasDetail = capabilitiesOf(model).media.detail === true;
  const conversion: Conversion = { model, hasDetail, callIds: new Set() };
  return {
    model,
    contents: messages.flatMap((message) => toContent(message, conversion) ?? []),
    config: toConfig(request),
  };
}
