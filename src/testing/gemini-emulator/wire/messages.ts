/** The parts of Gemini's REST messages that the emulator reads or writes. */

export interface WirePart {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly inlineData?: { readonly mimeType?: string; readonly data?: string };
  readonly fileData?: { readonly mimeType?: string; readonly fileUri?: string };
  readonly mediaResolution?: { readonly level?: string };
}

export interface WireContent {
  readonly role?: string;
  readonly parts?: readonly WirePart[];
}

interface WireGenerationConfig {
  readonly maxOutputTokens?: number;
  readonly stopSequences?: readonly string[];
  readonly responseMimeType?: string;
  readonly mediaResolution?: string;
  readonly thinkingConfig?: { readonly includeThoughts?: boolean; readonly thinkingLevel?: string };
}

export interface WireGenerateRequest {
  readonly contents?: readonly WireContent[];
  readonly systemInstruction?: WireContent;
  readonly generationConfig?: WireGenerationConfig;
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

export interface WireUsage {
  readonly promptTokenCount: number;
  readonly candidatesTokenCount?: number;
  readonly thoughtsTokenCount?: number;
  readonly totalTokenCount: number;
  readonly promptTokensDetails: readonly { readonly modality: string; readonly tokenCount: number }[];
}

/** One event of a stream, or a whole reply that is not streamed. */
export interface WireResponse {
  readonly candidates?: readonly {
    readonly content?: WireContent;
    readonly finishReason?: string;
    readonly index?: number;
    readonly safetyRatings?: readonly unknown[];
  }[];
  readonly promptFeedback?: unknown;
  readonly usageMetadata?: WireUsage;
  readonly modelVersion?: string;
  readonly responseId?: string;
}
