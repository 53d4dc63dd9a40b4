import type {
  Content,
  FunctionResponse,
  GenerateContentConfig,
  GenerateContentParameters,
  Blob as InlineData,
  Part,
  PartMediaResolutionLevel,
  VideoMetadata,
} from '@google/genai';
import type { MediaDetail, MediaExcerpt } from '../../../core/media.js';
import type {
  DataPart,
  ModelMessage,
  ModelPart,
  ModelRequest,
  ToolResultWithMedia,
} from '../../chat-model.js';
import { providerName } from '../gemini-parts.js';
import {
  capabilitiesOf,
  needsSignedCalls,
  needsSignedPictures,
  takesSystemInstruction,
} from './gemini-capabilities.js';
import { toConfig } from './gemini-config.js';
import { findUnpairedCalls, toReturnedPart, toReturnedParts } from './returned-parts.js';

const resolutions: Readonly<Record<MediaDetail, PartMediaResolutionLevel>> = {
  low: 'MEDIA_RESOLUTION_LOW' as PartMediaResolutionLevel,
  medium: 'MEDIA_RESOLUTION_MEDIUM' as PartMediaResolutionLevel,
  high: 'MEDIA_RESOLUTION_HIGH' as PartMediaResolutionLevel,
  'ultra-high': 'MEDIA_RESOLUTION_ULTRA_HIGH' as PartMediaResolutionLevel,
};

interface Conversion {
  readonly model: string;
  readonly hasDetail: boolean;
  /** Calls without a result and results without a call: Gemini refuses them. */
  readonly unpaired: ReadonlySet<ModelPart>;
  /** Messages of the turn that is being answered, whose first calls must be signed. */
  readonly signed: ReadonlySet<ModelMessage>;
  /** Ids of the function calls so far; a result may only name one of them. */
  readonly callIds: Set<string>;
}

/** The part in a form that every Gemini model takes; undefined if it has none. */
function toPart(part: ModelPart, { callIds, hasDetail }: Conversion): Part | undefined {
  switch (part.type) {
    case 'text':
      return part.text === '' ? undefined : { text: part.text };
    case 'data': {
      const inlineData = toInlineData(part);
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
      return { functionResponse: { ...id, name: part.name, ...toResponse(part) } };
    }
    case 'code':
      return toFencedText(part.code, part.language);
    case 'code-result':
      return toFencedText(part.output);
    case 'reasoning':
    case 'provider':
      return undefined;
  }
}

const toFencedText = (text: string, language = ''): Part | undefined =>
  text.trim() === '' ? undefined : { text: `\n\`\`\`${language}\n${text}\n\`\`\`\n` };

function toInlineData({ data, mimeType }: DataPart): InlineData {
  const { buffer, byteLength, byteOffset } = data;
  return { mimeType, data: Buffer.from(buffer, byteOffset, byteLength).toString('base64') };
}

function toVideoMetadata({ endMs, startMs }: MediaExcerpt): VideoMetadata {
  const seconds = (ms: number) => `${ms / 1000}s`;
  return {
    startOffset: seconds(startMs),
    ...(endMs === undefined ? {} : { endOffset: seconds(endMs) }),
  };
}

/** The part as it came from this model; undefined if it has to take the general form. */
function toOwnPart(part: ModelPart, model: string): Part | undefined {
  if (part.type === 'uri' || part.type === 'upload') return undefined;
  if (part.type !== 'data') return toReturnedPart(part);
  const own = part.providerMetadata?.[providerName];
  if (own?.thoughtSignature === undefined && needsSignedPictures(model)) return undefined;
  return { inlineData: toInlineData(part), ...own } as Part;
}

/** The output as the object that Gemini wants, and the media with the lines that name them. */
function toResponse({
  isError,
  output,
  parts = [],
}: ToolResultWithMedia): Pick<FunctionResponse, 'response' | 'parts'> {
  const labels = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  const files = parts.flatMap((part) => (part.type === 'data' ? [{ inlineData: toInlineData(part) }] : []));
  const response = {
    [isError ? 'error' : 'output']: output,
    ...(labels.length > 0 && { media: labels }),
  };
  return files.length > 0 ? { response, parts: files } : { response };
}

/** The message for Gemini; empty if it has nothing that this model takes. */
function toContents(message: ModelMessage, conversion: Conversion): readonly Content[] {
  const { origin, parts, providerMetadata, role } = message;
  const isAnswer = role === 'assistant';
  // Thought signatures are only valid for the model that gave them.
  const isOwn = origin?.provider === providerName && origin.model === conversion.model;
  // Turns stored by version 0.1 hold all parts of an answer together.
  const stored = isOwn ? providerMetadata?.[providerName]?.parts : undefined;
  if (Array.isArray(stored)) return contentOf('model', toReturnedParts(stored));
  const said: Part[] = [];
  const shown: Part[] = [];
  for (const part of parts) {
    if (conversion.unpaired.has(part)) continue;
    const own = isOwn ? toOwnPart(part, conversion.model) : undefined;
    const converted = own ?? toPart(part, conversion);
    if (converted?.functionCall?.id) conversion.callIds.add(converted.functionCall.id);
    // A picture that another model drew, or that lost its signature, is shown as one of the user's.
    const isShown = !isAnswer || (part.type === 'data' && own === undefined);
    if (converted) (isShown ? shown : said).push(converted);
  }
  if (conversion.signed.has(message)) sign(said);
  return [...contentOf('model', said), ...contentOf('user', shown)];
}

/** Stands for the signature of a call that has none, because another model made it or its signature was refused. */
const unsigned = 'skip_thought_signature_validator';

/** Only the first of several calls has a signature. */
function sign(parts: Part[]): void {
  const at = parts.findIndex(({ functionCall }) => functionCall !== undefined);
  const call = parts[at];
  if (call !== undefined && call.thoughtSignature === undefined)
    parts[at] = { ...call, thoughtSignature: unsigned };
}

const contentOf = (role: 'model' | 'user', parts: Part[]): readonly Content[] =>
  parts.length === 0 ? [] : [{ role, parts }];

/** What followed the last question. */
function stepsOf(messages: readonly ModelMessage[]): readonly ModelMessage[] {
  const asked = messages.map(({ role }) => role).lastIndexOf('user');
  return asked < 0 ? [] : messages.slice(asked + 1);
}

/** A request as `@google/genai` takes it. */
export interface GeminiParameters extends GenerateContentParameters {
  contents: Content[];
  config: GenerateContentConfig;
}

/**
 * The request as `@google/genai` takes it. Holds only what was set and what the model takes.
 *
 * @throws InvalidInputError if `providerOptions` set what the request or the call itself decides.
 */
export function toGeminiParameters(request: ModelRequest): GeminiParameters {
  const { messages, model, systemInstruction } = request;
  const conversion: Conversion = {
    model,
    hasDetail: capabilitiesOf(model).media.detail === true,
    unpaired: findUnpairedCalls(messages),
    callIds: new Set(),
    signed: new Set(needsSignedCalls(model) ? stepsOf(messages) : []),
  };
  const contents = messages.flatMap((message) => toContents(message, conversion));
  const config = toConfig(request);
  if (systemInstruction === undefined) return { model, contents, config };
  if (takesSystemInstruction(model)) return { model, contents, config: { ...config, systemInstruction } };
  return { model, contents: [{ role: 'user', parts: [{ text: systemInstruction }] }, ...contents], config };
}
