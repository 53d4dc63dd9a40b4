/** The bytes of an attachment, or where to read them. A string is a file path, an http(s) URL or a `data:` URL. */
export type MediaData =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Blob
  | NodeJS.ReadableStream
  | ReadableStream<Uint8Array>;

/** An attachment with its name, its claimed type, or a section of it. */
export interface NamedMedia {
  readonly data: MediaData;
  /** File name, for messages and as a weak hint of the format. */
  readonly name?: string | undefined;
  /** The claimed media type. The bytes decide; this only breaks ties. */
  readonly mimeType?: string | undefined;
  /** Where to start in a clip or recording, in milliseconds. Default: its start. Other media are used whole. */
  readonly startMs?: number | undefined;
  /** Where to end in a clip or recording, in milliseconds. Default: its end. */
  readonly endMs?: number | undefined;
}

/** Anything that can be attached to a prompt. */
export type MediaSource = MediaData | NamedMedia;

export type MediaKind = 'image' | 'video' | 'audio' | 'document';

/** The source of an attachment, before preparation. */
export interface MediaSourceInfo {
  readonly mimeType: string;
  readonly bytes: number;
  /** Upright width in pixels. */
  readonly width?: number | undefined;
  /** Upright height in pixels. */
  readonly height?: number | undefined;
  readonly durationMs?: number | undefined;
  readonly codec?: string | undefined;
  /** Whether the model generated it. Default `false`: the user attached it. */
  readonly isGenerated?: boolean | undefined;
}

/** One picture, sound or document as it is sent to the model. */
export interface PreparedPart {
  readonly mimeType: string;
  readonly data: Uint8Array;
  /** Position of the frame in the clip, in milliseconds from its start. */
  readonly timestampMs?: number | undefined;
  /** A local file to upload; `data` is empty then. The file exists until `release` is called. */
  readonly path?: string | undefined;
  /** How closely the model should look at a picture. Decides its token cost. */
  readonly detail?: MediaDetail | undefined;
  /** Which tile of a larger picture it is, counted from 1. */
  readonly tile?:
    | { readonly row: number; readonly rows: number; readonly column: number; readonly columns: number }
    | undefined;
  /** The section of the file to use. */
  readonly excerpt?: MediaExcerpt | undefined;
}

/**
 * Gemini's media resolution of one picture: 280, 560, 1,120 or 2,240 tokens with Gemini 3
 * (https://ai.google.dev/gemini-api/docs/media-resolution).
 */
export type MediaDetail = 'low' | 'medium' | 'high' | 'ultra-high';

/** A section of a clip, in milliseconds from its start. Without `endMs`, to its end. */
export interface MediaExcerpt {
  readonly startMs: number;
  readonly endMs?: number | undefined;
}

/** An attachment in the form that is sent to the model. */
export interface PreparedMedia {
  readonly kind: MediaKind;
  readonly name: string;
  /**
   * Hex SHA-256 of the source bytes. For sources over 32 MiB that are not uploaded whole, of their length and
   * 64 samples of 64 KiB spread over them: it finds duplicates, but does not prove them.
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
   * The frames of a clip that is uploaded whole, to show it again after the upload is deleted. Resolves
   * with undefined if the clip cannot be decoded locally. Call before `release`.
   */
  asFrames?(): Promise<MediaFrames | undefined>;
  /** Removes the temporary files of the parts, if any. Never rejects. */
  release?(): Promise<void>;
}

/** Frames that stand for a clip. */
export type MediaFrames = Pick<PreparedMedia, 'parts' | 'estimatedTokens'>;

/** Progress of preparing one attachment. */
export interface MediaProgress {
  readonly name: string;
  readonly stage: 'queued' | 'reading' | 'probing' | 'decoding' | 'encoding' | 'ready';
  /** From 0 to 1, never decreasing. */
  readonly fraction: number;
}

/** Which attachments a model takes. A `MediaProcessor` prepares for these; other media become text. */
export interface MediaCapabilities {
  /** Media types that may be sent inline, such as `image/jpeg`. */
  readonly inline: readonly string[];
  /** Clips that may be uploaded whole: detected media type to the media type to declare. Default: none. */
  readonly upload?: Readonly<Record<string, string>> | undefined;
  /** Whether `detail` can be set for each picture. Default `false`. */
  readonly detail?: boolean | undefined;
  /** Maximum pages of a PDF. Default: no limit. */
  readonly maxPdfPages?: number | undefined;
}
