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
  asFrames?(): Promise<MediaFrames | undefined>;
  /** Removes the temporary files that the parts name, where there are any. Never rejects. */
  release?(): Promise<void>;
}

/** What a clip looks like, in place of the clip. */
export type MediaFrames = Pick<PreparedMedia, 'parts' | 'estimatedTokens'>;

/** How far the preparation of one attachment has come. */
export interface MediaProgress {
  readonly name: string;
  readonly stage: 'queued' | 'reading' | 'probing' | 'decoding' | 'encoding' | 'ready';
  /** From 0 to 1, never decreasing. */
  readonly fraction: number;
}

/** What a model takes of attachments. A `MediaProcessor` prepares them so; the rest is told in words. */
export interface MediaCapabilities {
  /** Media types that may go inline, such as `image/jpeg`. */
  readonly inline: readonly string[];
  /** Media types of clips that may be uploaded whole, by the type that the bytes have. Default: none. */
  readonly upload?: Readonly<Record<string, string>> | undefined;
  /** Whether a single picture may say how closely it is to be looked at. Default `false`. */
  readonly detail?: boolean | undefined;
  /** Most pages of a PDF. Default: no limit. */
  readonly maxPdfPages?: number | undefined;
}
