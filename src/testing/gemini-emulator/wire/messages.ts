import type { WireCitationMetadata, WireGroundingMetadata, WireUrlContextMetadata } from './metadata.js';

/** The parts of Gemini's REST messages that the emulator reads or writes. */

export interface WireFunctionCall {
  readonly id?: string | undefined;
  readonly name: string;
  readonly args?: Readonly<Record<string, unknown>> | undefined;
}

export interface WirePart {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly inlineData?: { readonly mimeType?: string; readonly data?: string };
  readonly fileData?: { readonly mimeType?: string; readonly fileUri?: string };
  readonly mediaResolution?: { readonly level?: string };
  readonly executableCode?: { readonly language?: string; readonly code?: string; readonly id?: string };
  readonly codeExecutionResult?: {
    readonly outcome?: string;
    readonly output?: string;
    readonly id?: string;
  };
  readonly functionCall?: WireFunctionCall;
  readonly functionResponse?: { readonly id?: string; readonly name?: string; readonly response?: unknown };
  /** Steps of a tool that Gemini runs itself. */
  readonly toolCall?: unknown;
  readonly toolResponse?: unknown;
}

export interface WireContent {
  readonly role?: string;
  readonly parts?: readonly WirePart[];
}

interface WireGenerationConfig {
  readonly maxOutputTokens?: number;
  readonly stopSequences?: readonly string[];
  readonly responseMimeType?: string;
  readonly responseJsonSchema?: unknown;
  readonly responseModalities?: readonly string[];
  readonly imageConfig?: { readonly aspectRatio?: string; readonly imageSize?: string };
  readonly mediaResolution?: string;
  readonly thinkingConfig?: {
    readonly includeThoughts?: boolean;
    readonly thinkingLevel?: string;
    readonly thinkingBudget?: number;
  };
}

/** A function of the app. */
interface WireFunction {
  readonly name?: string;
  readonly parameters?: unknown;
  readonly parametersJsonSchema?: unknown;
}

/** One entry of `tools`: what is present is on. */
export interface WireTool {
  readonly googleSearch?: unknown;
  readonly urlContext?: unknown;
  readonly codeExecution?: unknown;
  readonly googleMaps?: { readonly enableWidget?: boolean };
  readonly fileSearch?: { readonly fileSearchStoreNames?: readonly string[] };
  readonly functionDeclarations?: readonly WireFunction[];
}

export interface WireGenerateRequest {
  readonly contents?: readonly WireContent[];
  readonly systemInstruction?: WireContent;
  readonly generationConfig?: WireGenerationConfig;
  readonly tools?: readonly WireTool[];
  readonly toolConfig?: { readonly functionCallingConfig?: { readonly mode?: string } };
  /** Goes on with an answer that ended with the finish reason `CONTINUATION`. */
  readonly continuationToken?: string;
}

export interface WireEmbedRequest {
  readonly model?: string;
  readonly content?: WireContent;
  readonly outputDimensionality?: number;
  readonly taskType?: string;
}

/** The body of a reply that is not 200. */
export interface WireErrorBody {
  readonly error: {
    readonly code: number;
    readonly message: string;
    readonly status: string;
    readonly details?: readonly Readonly<Record<string, unknown>>[];
  };
}

export interface WireTokenCount {
  readonly modality: string;
  readonly tokenCount: number;
}

/** A count that is `undefined` is not sent. */
export interface WireUsage {
  readonly promptTokenCount?: number | undefined;
  readonly cachedContentTokenCount?: number | undefined;
  readonly candidatesTokenCount?: number | undefined;
  readonly thoughtsTokenCount?: number | undefined;
  readonly toolUsePromptTokenCount?: number | undefined;
  readonly totalTokenCount?: number | undefined;
  readonly promptTokensDetails?: readonly WireTokenCount[] | undefined;
}

export interface WireSafetyRating {
  readonly category: string;
  readonly probability: string;
  readonly blocked?: boolean;
}

export interface WireCandidate {
  readonly content?: WireContent | undefined;
  readonly finishReason?: string | undefined;
  readonly finishMessage?: string | undefined;
  readonly index?: number | undefined;
  readonly safetyRatings?: readonly WireSafetyRating[] | undefined;
  readonly groundingMetadata?: WireGroundingMetadata | undefined;
  readonly citationMetadata?: WireCitationMetadata | undefined;
  readonly urlContextMetadata?: WireUrlContextMetadata | undefined;
  readonly continuationToken?: string | undefined;
}

/** One event of a stream, or a whole reply that is not streamed. */
export interface WireResponse {
  readonly candidates?: readonly WireCandidate[] | undefined;
  readonly promptFeedback?: unknown;
  readonly usageMetadata?: WireUsage | undefined;
  readonly modelVersion?: string | undefined;
  readonly responseId?: string | undefined;
}
