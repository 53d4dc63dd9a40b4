import type { AbortOptions } from '../core/abort.js';
import type { Failure } from '../core/failure.js';
import type { MediaCapabilities, MediaDetail, MediaExcerpt } from '../core/media.js';
import type {
  AnswerInfo,
  CodePart,
  CodeResultPart,
  JsonValue,
  Message,
  MessageOrigin,
  MessagePart,
  ProviderMetadata,
  ProviderPart,
  ReasoningPart,
  SourcePart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '../core/message.js';
import type { ToolChoice, ToolDeclaration } from '../core/tool.js';
import type { FinishReason } from '../core/turn.js';
import type { Usage } from '../core/usage.js';

/** Names of Gemini models that editors suggest; any other name is fine. */
export type ModelName =
  | 'gemini-3.8-flash'
  | 'gemini-3.5-flash-lite'
  | 'gemini-3.1-pro-preview'
  | 'gemini-4-argon'
  | 'gemini-4-carbon'
  | 'gemini-4-hydrogen'
  | 'gemini-3-pro-image'
  | 'gemini-3.1-flash-image'
  | 'gemini-3.8-flash-tts'
  | 'gemini-flash-latest'
  | 'gemini-flash-lite-latest'
  | 'gemini-pro-latest'
  | (string & {});

/** A picture, sound or document. */
export interface DataPart {
  readonly type: 'data';
  readonly mimeType: string;
  readonly data: Uint8Array;
  /** How closely to look at a picture. Default: as the model does by itself. */
  readonly detail?: MediaDetail | undefined;
  /** Of a generated file that goes back. */
  readonly name?: string | undefined;
  readonly providerMetadata?: ProviderMetadata | undefined;
}

/** A file that the service can read by its URI. */
export interface UriPart {
  readonly type: 'uri';
  readonly mimeType: string;
  readonly uri: string;
  readonly excerpt?: MediaExcerpt | undefined;
}

/** A local file that is too large to send inline: the model uploads it first. */
export interface UploadPart {
  readonly type: 'upload';
  readonly mimeType: string;
  readonly path: string;
  /** Hex SHA-256 of its bytes. */
  readonly fingerprint: string;
  readonly name: string;
  readonly excerpt?: MediaExcerpt | undefined;
}

/** A tool result, with its media and the lines that name them. */
export interface ToolResultWithMedia extends ToolResultPart {
  /** Where the model takes them there (`toolResultMedia`). */
  readonly parts?: readonly ModelPart[] | undefined;
}

/** A piece of a model message: text and tool calls as they are stored, media with their bytes. */
export type ModelPart =
  | TextPart
  | ReasoningPart
  | ToolCallPart
  | ToolResultWithMedia
  | CodePart
  | CodeResultPart
  | ProviderPart
  | DataPart
  | UriPart
  | UploadPart;

/** One message of the conversation as it goes to the model. */
export interface ModelMessage {
  readonly role: Message['role'];
  readonly parts: readonly ModelPart[];
  /** The model that wrote it, the only one that may get its `providerMetadata` back. */
  readonly origin?: MessageOrigin | undefined;
  readonly providerMetadata?: ProviderMetadata | undefined;
}

/** How much a model thinks before it answers. */
export type ThinkingLevel = 'minimal' | 'low' | 'medium' | 'high' | 'xhigh';

/** What an answer can be made of. */
export type Modality = 'text' | 'image' | 'audio';

/** Tools that the provider runs itself. Those that are set are on. */
export interface BuiltInTools {
  /** Searches the web. */
  readonly search?: boolean | undefined;
  /** Reads web pages that the prompt names. */
  readonly urls?: boolean | undefined;
  /** Writes and runs code. */
  readonly code?: boolean | undefined;
  /** Looks up places, near a point if one is given. */
  readonly maps?: boolean | { readonly latitude: number; readonly longitude: number } | undefined;
  /** Searches files that were stored with the provider: names of its stores. */
  readonly fileSearch?: { readonly stores: readonly string[] } | undefined;
}

/** How to generate. Only what is set is sent; the service has defaults of its own. */
export interface GenerationOptions {
  /** Maximum tokens of the answer, thoughts included. Default: the model's. */
  readonly maxOutputTokens?: number | undefined;
  /** The answer ends before the first of these. Default: none. */
  readonly stopSequences?: readonly string[] | undefined;
  /** How much to think before answering. Not sent to a model that does not list the level. */
  readonly thinkingLevel?: ThinkingLevel | undefined;
  /** Maximum tokens of thought; 0 turns thinking off. Not sent to a model without `thinkingBudget`. */
  readonly thinkingBudget?: number | undefined;
  /** What the answer may hold. Default: text. */
  readonly responseModalities?: readonly Modality[] | undefined;
  /** The same seed makes similar answers to the same request. */
  readonly seed?: number | undefined;
  /** Whether to stream thought summaries. Default `false`. */
  readonly includeThoughts?: boolean | undefined;
  /** Deprecated by Gemini since 3.6. */
  readonly temperature?: number | undefined;
  /** Deprecated by Gemini since 3.6. */
  readonly topP?: number | undefined;
  /** Deprecated by Gemini since 3.6. */
  readonly topK?: number | undefined;
  /** `application/json` asks for JSON. Default: text. */
  readonly responseMimeType?: string | undefined;
  /** JSON schema of the answer; needs `responseMimeType: 'application/json'`. */
  readonly responseJsonSchema?: unknown;
}

/**
 * Settings that only one provider understands, by the provider's name: `{ google: { safetySettings: [...] } }`.
 * Each `ChatModel` reads its own entry.
 */
export type ProviderOptions = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface ModelRequest {
  /** Name of the model, one of the provider's. */
  readonly model: string;
  /** Tells the model its role. */
  readonly systemInstruction?: string | undefined;
  /** Oldest first; the last one is the user's, or holds the results of tools. */
  readonly messages: readonly ModelMessage[];
  /** How to generate; what is not set is the model's default. */
  readonly generation: GenerationOptions;
  /** Tools that the provider runs itself. Default: none. */
  readonly builtIn?: BuiltInTools | undefined;
  /** Tools of the app that the model may call. */
  readonly tools?: readonly ToolDeclaration[] | undefined;
  /** Only with `tools`. Default `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /** Settings by provider. Default: none. */
  readonly providerOptions?: ProviderOptions | undefined;
  /** Goes on with an answer whose `finish` had this `continuation`. */
  readonly continuation?: JsonValue | undefined;
}

/** A file that the model generated. */
export interface GeneratedFile {
  readonly mimeType: string;
  readonly data: Uint8Array;
  /** Hex SHA-256 of its bytes: that of the `FilePart` in the answer's parts. */
  readonly fingerprint: string;
  readonly name: string;
}

/** A piece of an answer, as it comes. */
export type AnswerEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thought'; readonly text: string }
  | { readonly type: 'file'; readonly file: GeneratedFile }
  | { readonly type: 'code'; readonly code: CodePart }
  | { readonly type: 'code-result'; readonly result: CodeResultPart }
  | { readonly type: 'tool-call'; readonly call: ToolCallPart }
  | { readonly type: 'source'; readonly source: SourcePart };

/**
 * What a model streams. `finish` comes exactly once, as the last event. What the events before it say is
 * also in its `parts`.
 */
export type ModelEvent =
  | AnswerEvent
  | {
      readonly type: 'finish';
      readonly finishReason: FinishReason;
      readonly usage?: Usage | undefined;
      readonly info?: AnswerInfo | undefined;
      /**
       * The whole answer, for the record and for later requests. `providerMetadata` goes back unchanged. A
       * generated file is a `FilePart`; its bytes came in a `file` event.
       */
      readonly parts: readonly MessagePart[];
      /** The answer goes on in another call that has this as `continuation`. */
      readonly continuation?: JsonValue | undefined;
    };

export interface ModelStreamOptions extends AbortOptions {
  /** The key to call with. Set only for a model with `needsKey`. */
  readonly apiKey?: string | undefined;
  /** The project of the key, which owns what is uploaded with it. */
  readonly project?: string | undefined;
}

/** What one model of a provider takes. */
export interface ModelCapabilities {
  /** Which attachments it takes. */
  readonly media: MediaCapabilities;
  /** Supported values of `thinkingLevel`. Default: none. */
  readonly thinkingLevels?: readonly ThinkingLevel[] | undefined;
  /** Whether it takes `thinkingBudget`. Default `false`. */
  readonly thinkingBudget?: boolean | undefined;
  /** What it can answer with. Default: text alone. */
  readonly modalities?: readonly Modality[] | undefined;
  /** Built-in tools that it has. Default: none. */
  readonly builtIn?: readonly (keyof BuiltInTools)[] | undefined;
  /** Whether it can call tools. Default `false`. */
  readonly tools?: boolean | undefined;
  /** Where pictures of a tool result go: into the result, or into a user message after it. Default `after`. */
  readonly toolResultMedia?: 'inside' | 'after' | undefined;
  /** Whether it supports `responseJsonSchema`; `alone`: only without tools. Default `false`. */
  readonly jsonSchema?: boolean | 'alone' | undefined;
}

/** The model names of a provider. */
export interface ModelNames {
  /** Answers unless a call names another. */
  readonly default: string;
  /** Tried in this order if the default cannot serve, unless the chat has `fallbackModels`. Default: none. */
  readonly fallbacks?: readonly string[] | undefined;
  /** Writes summaries of earlier turns. Default: `default`. */
  readonly summary?: string | undefined;
  /** Further names, for lists of models to choose from. A call may also use a name that is not listed. */
  readonly others?: readonly string[] | undefined;
}

/**
 * Makes one streaming call to a model of one provider.
 *
 * An implementer owes:
 * - `capabilities` of an unknown name list only what every model of the provider takes.
 * - no retries of its own: a fault throws `ModelCallError` with its `failure`, a refusal throws
 *   `BlockedError`, an abort throws `signal.reason`.
 * - a stream that ends without a finish reason throws a failure of the kind `incomplete`.
 * - leaving the loop early cancels the request.
 * - no key value in anything that is thrown or yielded.
 * - `providerMetadata` of another provider is never sent; that of another model only if the provider
 *   allows it. A message of which nothing can be sent is left out.
 * - after `close`, and in calls in progress, `ClosedError`.
 *
 * Shipped: {@link GeminiModel}. `examples/custom-model` holds one for OpenAI-compatible servers, and
 * `chatModelContract` of `multimodal-chat/testing` checks these duties.
 */
export interface ChatModel {
  /** Key of its entries in `providerOptions` and `providerMetadata`, such as `google`. */
  readonly provider: string;
  readonly models: ModelNames;
  /** Whether each call needs a key of the chat's `KeyPool`. If not, it is called without a lease. */
  readonly needsKey: boolean;
  capabilities(model: string): ModelCapabilities;
  stream(request: ModelRequest, options: ModelStreamOptions): AsyncIterable<ModelEvent>;
  /**
   * Finds out whether a key works with a model, by a call that costs no quota: undefined if it does, or why
   * not. Default: the next call of a user finds out.
   */
  probe?(model: string, options: ModelStreamOptions): Promise<Failure | undefined>;
  /** Projects that already hold every file of the request; empty if it has no uploads. */
  projectsWith?(request: ModelRequest): readonly string[];
  close?(): Promise<void>;
}
