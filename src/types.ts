/** Accepted by everything that waits. */
export interface CallOptions {
  /** Aborting it stops the work and rejects with `signal.reason`, untouched. */
  readonly signal?: AbortSignal | undefined;
}

/** The bytes of an attachment, or where to read them. A plain string is a file path. */
export type MediaData =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Blob
  | NodeJS.ReadableStream
  | ReadableStream<Uint8Array>;

/** An attachment with what its sender says about it. */
export interface NamedMedia {
  readonly data: MediaData;
  /** File name, for messages and as a weak hint of the format. */
  readonly name?: string | undefined;
  /** The claimed media type. The bytes decide; this only breaks ties. */
  readonly mimeType?: string | undefined;
  /** Where to begin in a clip or recording, in milliseconds. Default its beginning; others are shown whole. */
  readonly startMs?: number | undefined;
  /** Where to end in a clip or recording, in milliseconds. Default its end. */
  readonly endMs?: number | undefined;
}

/** Anything that can be attached to a prompt. */
export type MediaSource = MediaData | NamedMedia;

export type MediaKind = 'image' | 'video' | 'audio' | 'document';

/** What an attachment was before it was prepared. */
export interface MediaSourceInfo {
  readonly mimeType: string;
  readonly bytes: number;
  /** Upright width in pixels. */
  readonly width?: number | undefined;
  /** Upright height in pixels. */
  readonly height?: number | undefined;
  readonly durationMs?: number | undefined;
  readonly codec?: string | undefined;
}

/** One picture, sound or document as the model gets it. */
export interface PreparedPart {
  readonly mimeType: string;
  readonly data: Uint8Array;
  /** Where in the clip the frame was taken, in milliseconds from its start. */
  readonly timestampMs?: number | undefined;
  /** A local file to upload in place of `data`, which is empty then. It is there until `release` is called. */
  readonly path?: string | undefined;
  /** How closely the model is to look at a picture, which decides what it costs. */
  readonly detail?: MediaDetail | undefined;
  /** Which tile of a larger picture it is, counted from 1. */
  readonly tile?:
    | { readonly row: number; readonly rows: number; readonly column: number; readonly columns: number }
    | undefined;
  /** The part of the file that is meant. */
  readonly excerpt?: MediaExcerpt | undefined;
}

/**
 * Gemini's media resolution of one picture: 280, 560, 1,120 or 2,240 tokens with Gemini 3
 * (https://ai.google.dev/gemini-api/docs/media-resolution).
 */
export type MediaDetail = 'low' | 'medium' | 'high' | 'ultra-high';

/** A part of a clip, in milliseconds from its beginning; to its end where `endMs` is left out. */
export interface MediaExcerpt {
  readonly startMs: number;
  readonly endMs?: number | undefined;
}

/** An attachment turned into what the model sees best. */
export interface PreparedMedia {
  readonly kind: MediaKind;
  readonly name: string;
  /**
   * Hex SHA-256 of the source bytes; of sources beyond 32 MiB, of their length and of 64 samples of
   * 64 KiB spread over them.
   */
  readonly fingerprint: string;
  /** In the order in which the model should see them. */
  readonly parts: readonly PreparedPart[];
  /** Estimated input tokens of all parts together. */
  readonly estimatedTokens: number;
  readonly source: MediaSourceInfo;
  /** A sentence on what could not be used, for example the end of a truncated clip. */
  readonly note?: string | undefined;
  /**
   * A clip that is uploaded whole as frames, by which it can be shown again when the upload is gone; nothing
   * where it cannot be decoded here. To be called before `release`.
   */
  stills?(): Promise<Stills | undefined>;
  /** Removes the temporary files that the parts name, where there are any. Never rejects. */
  release?(): Promise<void>;
}

/** What a clip looks like, in place of the clip. */
export type Stills = Pick<PreparedMedia, 'parts' | 'estimatedTokens'>;

/** How far the preparation of one attachment has come. */
export interface MediaProgress {
  readonly name: string;
  readonly stage: 'queued' | 'reading' | 'probing' | 'decoding' | 'encoding' | 'ready';
  /** From 0 to 1, never decreasing. */
  readonly fraction: number;
}

/** Tokens that a reply cost, as the model reported them. */
export interface Usage {
  readonly inputTokens: number;
  /** Visible output, without thoughts. */
  readonly outputTokens: number;
  readonly thoughtTokens: number;
  readonly totalTokens: number;
  readonly cachedInputTokens?: number | undefined;
}

/** Why a reply ended. Reasons that mean a refusal are thrown as `BlockedError` instead. */
export type FinishReason = 'stop' | 'max-tokens' | 'unknown';

/** Whose conversation it is. Both names are opaque: any non-empty string, never used as a path. */
export interface Conversation {
  readonly tenant: string;
  readonly sessionId: string;
}

/** What memory keeps about an attachment of a turn. */
export interface TurnMedia {
  readonly kind: MediaKind;
  readonly name: string;
  /** As in `PreparedMedia`. */
  readonly fingerprint: string;
  readonly mimeType: string;
  readonly durationMs?: number | undefined;
  /** Timestamps of the frames that the model saw, in milliseconds. */
  readonly frameTimestampsMs?: readonly number[] | undefined;
}

/** One exchange: what the user said and what the model answered. */
export interface Turn extends Conversation {
  /** Unique within the conversation; appending a known id again changes nothing. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly prompt: string;
  /** The visible text of the answer; empty where only an utterance is recorded. */
  readonly reply: string;
  readonly media?: readonly TurnMedia[] | undefined;
  /** The model that answered. */
  readonly model?: string | undefined;
  /**
   * The answer's parts exactly as the model gave them, JSON-serialisable. They carry thought
   * signatures, which must go back verbatim.
   */
  readonly replyParts?: readonly unknown[] | undefined;
  readonly usage?: Usage | undefined;
}

/** A turn that was found by meaning. */
export interface RecalledTurn {
  readonly turn: Turn;
  /** From 0 to 1 within one answer; comparable only there. */
  readonly score: number;
}

export type FailureKind =
  | 'rate-limit'
  | 'daily-quota'
  | 'no-quota'
  | 'auth'
  | 'permission'
  | 'model-unavailable'
  | 'overloaded'
  | 'internal'
  | 'timeout'
  | 'network'
  | 'incomplete'
  | 'invalid-request'
  | 'too-large'
  | 'blocked'
  | 'billing';

/** Who is to blame, and so what to avoid next: this call, the key, (project, model), the project or the model. */
export type FailureScope = 'call' | 'key' | 'pair' | 'project' | 'model';

/** What went wrong with one call, and whose fault it is. Holds no secret. */
export interface Failure {
  readonly kind: FailureKind;
  readonly scope: FailureScope;
  /** One sentence, scrubbed of key values. */
  readonly message: string;
  /** HTTP status, where there was one. */
  readonly status?: number | undefined;
  /** The machine-readable reason of the reply, such as `API_KEY_INVALID` or `SAFETY`. */
  readonly reason?: string | undefined;
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** Limits that the reply gave away: requests a minute, input tokens a minute, requests a day. */
  readonly learned?:
    | {
        readonly rpm?: number | undefined;
        readonly tpm?: number | undefined;
        readonly rpd?: number | undefined;
      }
    | undefined;
  /** The project number that the reply named, which tells which keys share a project. */
  readonly project?: string | undefined;
  /** The error behind it, scrubbed of key values. */
  readonly cause?: unknown;
}

/** One try at getting an answer. */
export interface Attempt {
  readonly model: string;
  /** Masked id of the key, safe to show. */
  readonly keyId: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** Whether it was a second call beside one that was late (option `hedge`). */
  readonly isHedge?: boolean | undefined;
  /** Absent when the attempt succeeded. */
  readonly failure?: Failure | undefined;
}

/** Where the time of one call went, in milliseconds. */
export interface Timings {
  readonly totalMs: number;
  readonly mediaMs: number;
  readonly memoryMs: number;
  /** Waiting for a key, all attempts together. */
  readonly queueMs: number;
  /** From the start of the call to the first visible text. */
  readonly firstTokenMs?: number | undefined;
}

/** A finished answer. */
export interface Reply {
  readonly text: string;
  /** Thought summaries, when they were asked for; kept apart from the text. */
  readonly thoughts: string;
  readonly sessionId: string;
  readonly turnId: string;
  readonly model: string;
  readonly usage?: Usage | undefined;
  readonly finishReason: FinishReason;
  readonly media: readonly PreparedMedia[];
  /** Attachments of earlier turns that the prompt was about and that were shown again. */
  readonly shownAgain: readonly TurnMedia[];
  /** Earlier turns that were found by meaning and shown to the model, oldest first. */
  readonly recalled: readonly RecalledTurn[];
  /** How many recent turns were sent verbatim. */
  readonly recentTurns: number;
  /** How many of the first turns were shown to the model as a summary; 0 with `context.summary` off. */
  readonly summarisedTurns: number;
  readonly attempts: readonly Attempt[];
  readonly timings: Timings;
  /** Whether the turn is durably stored. `false` with memory off, or when storing failed (see the `failure` event). */
  readonly remembered: boolean;
}

/** What `chat.stream()` yields, in this order: media and recall (interleaved), then attempts with their text, then done. */
export type ChatPart =
  | {
      readonly type: 'media';
      /** Position of the attachment in the request. */
      readonly index: number;
      readonly progress: MediaProgress;
      /** Present once `progress.stage` is `ready`. */
      readonly media?: PreparedMedia | undefined;
    }
  | { readonly type: 'recall'; readonly turns: readonly RecalledTurn[]; readonly recentTurns: number }
  | {
      readonly type: 'attempt';
      readonly attempt: number;
      readonly model: string;
      readonly keyId: string;
      /** Whether it is a second call beside one that is late (option `hedge`). */
      readonly isHedge?: boolean | undefined;
    }
  | { readonly type: 'thought'; readonly text: string }
  | { readonly type: 'text'; readonly text: string }
  /** Drop the text received so far: another attempt begins the answer anew. */
  | { readonly type: 'restart'; readonly failure: Failure }
  | { readonly type: 'done'; readonly reply: Reply };
