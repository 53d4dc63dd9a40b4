import { availableParallelism, tmpdir } from 'node:os';
import { z } from 'zod';
import type { MediaCapabilities, MediaDetail } from '../core/media.js';
import { atLeastOne, count, durationMs, nonBlank } from '../core/parse-options.js';

/** How `DefaultMediaProcessor` prepares attachments. Everything has a default. */
export interface MediaOptions {
  /** Frames shown of a clip, spread over its whole length. Default 8. */
  readonly frames?: number | undefined;
  /**
   * How closely the model looks at pictures and frames, as Gemini 3's media resolution: `low` is 280
   * tokens each; `auto` 1,120 for a picture and 560 for a frame; `high` 2,240 and 1,120, for small text.
   * For models without such a setting it only decides the size in pixels. Default `auto`.
   */
  readonly detail?: 'low' | 'auto' | 'high' | undefined;
  /**
   * Longest side of a picture or frame as sent, in pixels. Smaller ones are not enlarged. Default by
   * `detail`: 512, 768, or 1,536 (frames 1,024).
   */
  readonly maxSide?: number | undefined;
  /**
   * Enlarged parts that are shown beside a picture which is finer than fits `maxSide`, such as a
   * panorama, a scan or a long screenshot. Default 0.
   */
  readonly maxTiles?: number | undefined;
  /** JPEG quality of what is sent, 1 to 100. Default 75. */
  readonly quality?: number | undefined;
  /**
   * `auto` shows a frame within a quarter of the spacing between frames: a keyframe, or what takes the least
   * decoding, at a fraction of the cost. `exact` always decodes the frame at the wanted instant. Frames are
   * labeled with their own time either way. With `sampling: 'scenes'` the frames that `uniform` would show
   * are exact, and what is shown of scenes between them are keyframes. Default `auto`.
   */
  readonly accuracy?: 'auto' | 'exact' | undefined;
  /**
   * Which frames of a clip are shown. `uniform` takes the middles of equal slices. `scenes` compares small
   * pictures of the whole clip first: no scene that `uniform` shows is missed, scenes between are found,
   * and what looks the same as a frame that is shown is left out, so there may be fewer than `frames`.
   * Default `uniform`.
   */
  readonly sampling?: 'uniform' | 'scenes' | undefined;
  /**
   * `frames` shows a clip as pictures with timestamps and its sound. `upload` stores it with the model's
   * service, which then sees it whole. With Gemini that is one frame a second: slower to begin, about 100
   * tokens a second, and bound to the project of one key. Clips that the model does not take whole are shown
   * as frames; one that it takes and cannot process fails the call with a `MediaError`.
   * Default `frames`.
   */
  readonly video?: 'frames' | 'upload' | undefined;
  /**
   * Whether a clip's sound goes along, as one mono part after the frames. It is left out if all of it is
   * quieter than speech (-50 LUFS in any three seconds). Default true.
   */
  readonly audio?: boolean | undefined;
  /** How much of a clip's sound goes along, in milliseconds from its start. Default 30 minutes. */
  readonly maxAudioMs?: number | undefined;
  /** Pages of a multi-page TIFF, and moments of an animated picture, that are shown. Default `frames`. */
  readonly maxPages?: number | undefined;
  /** Where ffmpeg is. Default: `FFMPEG_PATH`, then `PATH`, then the package `@ffmpeg-installer/ffmpeg`. */
  readonly ffmpegPath?: string | undefined;
  /** Whether http(s) URLs may be fetched. Addresses of private networks never are. Default false. */
  readonly allowUrls?: boolean | undefined;
  /** Lets `allowUrls` reach loopback and private networks too. Only for trusted callers. Default false. */
  readonly allowPrivateAddresses?: boolean | undefined;
  /** Whether file paths and `file:` URLs may be read. Default true. */
  readonly allowPaths?: boolean | undefined;
  /**
   * The only directory below which files may be read by path, links followed. Uploads that the HTTP
   * handler takes are files as well, so its `tempDir` then belongs below it. Default: any file may be read.
   */
  readonly pathRoot?: string | undefined;
  /** Largest source, in bytes. Default 2 GiB. */
  readonly maxBytes?: number | undefined;
  /**
   * Largest document, and largest recording as it is sent, in bytes; a clip's sound is cut there. Default
   * 35 MiB: 49 MB in base64, where Gemini takes 50 MB of a PDF and 100 MB in a request.
   */
  readonly maxInlineBytes?: number | undefined;
  /** Largest picture or frame, in pixels. Default 100 million. */
  readonly maxPixels?: number | undefined;
  /**
   * Pixels of all pictures of one request together: of a picture its own, of a TIFF those of the pages that are
   * shown, of an animation those of the frames that are looked at. What is in the cache counts as none, and so
   * do clips. Default 500 million.
   */
  readonly maxRequestPixels?: number | undefined;
  /** Most memory that the process which decodes a picture may take, in bytes. Default 400 MiB. */
  readonly maxPictureMemoryBytes?: number | undefined;
  /** Most processor time that a picture may take, in milliseconds. Default 10 seconds. */
  readonly maxPictureCpuMs?: number | undefined;
  /** Most frames of an animated picture, or pages of a TIFF. Default 10,000. */
  readonly maxPictureFrames?: number | undefined;
  /** Longest clip or recording, in milliseconds. Default 9.5 hours, what Gemini accepts of sound. */
  readonly maxDurationMs?: number | undefined;
  /** Longest preparation of one attachment once it is its turn, in milliseconds. Default 2 minutes. */
  readonly timeoutMs?: number | undefined;
  /**
   * Clips and recordings decoded at the same time, and as many pictures beside them, each in a process of
   * its own. Default: half the processors, at least 1.
   */
  readonly concurrency?: number | undefined;
  /** Parent of the private directories for temporary files. Default: the system's. */
  readonly tempDir?: string | undefined;
  /** Prepared attachments kept in memory for the next use of the same bytes, in bytes. Default 32 MiB; 0 turns it off. */
  readonly cacheBytes?: number | undefined;
}

const minuteMs = 60_000;
const mebibyte = 2 ** 20;
/**
 * "PDFs are limited to 50MB for this method": https://ai.google.dev/gemini-api/docs/file-input-methods; and
 * "from 20MB to 100MB (base64 encoded)":
 * https://blog.google/innovation-and-ai/technology/developers-tools/gemini-api-new-file-limits
 */
const defaultInlineBytes = 35 * mebibyte;

const shape = {
  frames: atLeastOne.max(256).default(8),
  detail: z.enum(['low', 'auto', 'high']).default('auto'),
  maxSide: z.number().int().min(16).max(8192).optional(),
  maxTiles: count.max(64).default(0),
  quality: atLeastOne.max(100).default(75),
  accuracy: z.enum(['auto', 'exact']).default('auto'),
  sampling: z.enum(['uniform', 'scenes']).default('uniform'),
  video: z.enum(['frames', 'upload']).default('frames'),
  audio: z.boolean().default(true),
  maxAudioMs: durationMs.default(30 * minuteMs),
  maxPages: atLeastOne.optional(),
  ffmpegPath: nonBlank.optional(),
  allowUrls: z.boolean().default(false),
  allowPrivateAddresses: z.boolean().default(false),
  allowPaths: z.boolean().default(true),
  pathRoot: nonBlank.optional(),
  maxBytes: atLeastOne.default(2048 * mebibyte),
  maxInlineBytes: atLeastOne.default(defaultInlineBytes),
  maxPixels: atLeastOne.default(100e6),
  maxRequestPixels: atLeastOne.default(500e6),
  maxPictureMemoryBytes: z
    .number()
    .int()
    .min(128 * mebibyte)
    .default(400 * mebibyte),
  maxPictureCpuMs: durationMs.default(10_000),
  maxPictureFrames: atLeastOne.default(10_000),
  maxDurationMs: durationMs.default(570 * minuteMs),
  timeoutMs: durationMs.default(2 * minuteMs),
  concurrency: atLeastOne.default(() => Math.max(1, Math.floor(availableParallelism() / 2))),
  tempDir: nonBlank.default(() => tmpdir()),
  cacheBytes: count.default(32 * mebibyte),
} satisfies Record<keyof MediaOptions, z.ZodType>;

/** Validates `MediaOptions` and fills in every default that does not depend on the attachment. */
export const mediaOptionsSchema = z
  .strictObject(shape)
  .transform((options) => ({ ...options, maxPages: options.maxPages ?? options.frames })) satisfies z.ZodType<
  unknown,
  MediaOptions
>;

export type ResolvedMediaOptions = z.output<typeof mediaOptionsSchema>;

/** How one attachment is prepared. */
export interface MediaSettings extends Omit<ResolvedMediaOptions, 'detail' | 'maxSide'> {
  /** What the model takes; `undefined` for all that can be made. */
  readonly accepts: MediaCapabilities | undefined;
  /** `undefined` for a model without such a setting. */
  readonly detail: MediaDetail | undefined;
  readonly maxSide: number;
}
