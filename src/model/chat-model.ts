import type { AbortOptions } from '../core/call-options.js';
import type { MediaDetail, MediaExcerpt } from '../core/media.js';
import type { FinishReason, Usage } from '../core/turn.js';

/** A piece of what the model is given. */
export type ModelPart =
  | { readonly type: 'text'; readonly text: string }
  | {
      readonly type: 'data';
      readonly mimeType: string;
      readonly data: Uint8Array;
      /** How closely to look at a picture. Default: as the model does by itself. */
      readonly detail?: MediaDetail | undefined;
    }
  | {
      readonly type: 'file';
      readonly mimeType: string;
      readonly uri: string;
      readonly excerpt?: MediaExcerpt | undefined;
    }
  | {
      /** A local file that is too large to go inline: the model stores it with the service first. */
      readonly type: 'upload';
      readonly mimeType: string;
      readonly path: string;
      /** Hex SHA-256 of its bytes. */
      readonly fingerprint: string;
      readonly name: string;
      readonly excerpt?: MediaExcerpt | undefined;
    };

/** One message of the conversation as the model is given it. */
export interface ModelContent {
  readonly role: 'user' | 'model';
  readonly parts: readonly ModelPart[];
  /**
   * An earlier answer exactly as the model gave it, with its thought signatures. Sent instead of
   * `parts` when the request goes to that same model.
   */
  readonly verbatim?: { readonly model: string; readonly parts: readonly unknown[] } | undefined;
}

/** How to generate. Nothing is sent that is not set: the service's own defaults apply. */
export interface GenerationOptions {
  readonly maxOutputTokens?: number | undefined;
  readonly stopSequences?: readonly string[] | undefined;
  /** How much to think before answering. */
  readonly thinkingLevel?: 'low' | 'medium' | 'high' | undefined;
  /** Whether to stream thought summaries. Default `false`. */
  readonly includeThoughts?: boolean | undefined;
  /** Deprecated by Gemini since 3.6. */
  readonly temperature?: number | undefined;
  /** Deprecated by Gemini since 3.6. */
  readonly topP?: number | undefined;
  /** Deprecated by Gemini since 3.6. */
  readonly topK?: number | undefined;
  readonly responseMimeType?: string | undefined;
  /** JSON schema of the answer; needs `responseMimeType: 'application/json'`. */
  readonly responseJsonSchema?: unknown;
  readonly safetySettings?: readonly { readonly category: string; readonly threshold: string }[] | undefined;
}

export interface ModelRequest {
  readonly model: string;
  readonly systemInstruction?: string | undefined;
  /** Oldest first; the last one is the user's. */
  readonly contents: readonly ModelContent[];
  readonly generation: GenerationOptions;
}

/** What a model streams. `finish` comes exactly once, last. */
export type ModelEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thought'; readonly text: string }
  | {
      readonly type: 'finish';
      readonly finishReason: FinishReason;
      readonly usage?: Usage | undefined;
      /** The version that answered, as it names itself. */
      readonly modelVersion?: string | undefined;
      /** The answer's parts verbatim, JSON-serialisable, to go back as `verbatim` in a later request. */
      readonly parts: readonly unknown[];
    };

/** The key of one call. */
export interface ModelCallOptions extends AbortOptions {
  readonly apiKey: string;
  /** The project of the key, which owns what is uploaded with it. */
  readonly project?: string | undefined;
}

/**
 * Makes one streaming call with one key.
 *
 * An implementer owes:
 * - no retries of its own: a fault throws `ModelCallError` with its `failure`, a refusal throws
 *   `BlockedError`, an abort throws `signal.reason`.
 * - a stream that ends without a finish reason throws `incomplete`; it is never taken for an answer.
 * - leaving the loop early cancels the request.
 * - no key value in anything that is thrown or yielded.
 *
 * Shipped: `GeminiModel`.
 */
export interface ChatModel {
  stream(request: ModelRequest, options: ModelCallOptions): AsyncIterable<ModelEvent>;
  /** Projects that hold what the request would have to upload to others first; none when it has no such part. */
  projectsWith?(request: ModelRequest): readonly string[];
  close?(): Promise<void>;
}
