import { z } from 'zod';
import type { PreparedPart } from '../../core/media.js';
import type { ImageSettings } from '../image/image-settings.js';
import type { ImageInput } from '../image/outline.js';
import type { PreparedContent } from '../work/prepared-content.js';

/** What one picture may cost the process that decodes it. */
export interface PictureLimits {
  /** Resident memory of the process, in bytes. */
  readonly memoryBytes: number;
  /** Processor time, in milliseconds. */
  readonly cpuMs: number;
}

/** Asks for one picture; its bytes go along unless there is a path. */
export interface PictureRequest {
  readonly input: Omit<ImageInput, 'data'> & { readonly path?: string | undefined };
  readonly settings: ImageSettings;
  readonly limits: PictureLimits;
}

/** Whether a picture may be decoded. */
export interface PictureVerdict {
  /** Why it may not. */
  readonly refusal?: string | undefined;
}

/** What the process says: that it is ready, then for each picture that it has begun, how far it is, how it ended. */
export type PictureReply =
  | { readonly type: 'ready' }
  | { readonly type: 'begun' }
  | { readonly type: 'progress'; readonly done: number }
  /** Before it decodes so many pixels. Goes on when it is given a `PictureVerdict`. */
  | { readonly type: 'sized'; readonly pixels: number }
  /** The bytes of the parts go along, unless the picture is sent as it is. */
  | {
      readonly type: 'done';
      readonly content: ContentOutline;
      readonly isInput: boolean;
      readonly rss: number;
    }
  | {
      readonly type: 'failed';
      readonly reason: FailureReason;
      readonly message: string;
      readonly rss: number;
    }
  | { readonly type: 'over'; readonly limit: 'memory' | 'cpu' };

type ContentOutline = Omit<PreparedContent, 'parts'> & {
  readonly parts: readonly Omit<PreparedPart, 'data'>[];
};
type FailureReason = z.output<typeof reason>;

const reason = z.enum(['corrupt', 'unsupported', 'too-large', 'timeout', 'unavailable', 'empty']);
const amount = z.number().nonnegative();
const place = z.number().int().positive();
const part = z.strictObject({
  mimeType: z.literal('image/jpeg'),
  detail: z.enum(['low', 'medium', 'high', 'ultra-high']).optional(),
  timestampMs: amount.optional(),
  tile: z.strictObject({ row: place, rows: place, column: place, columns: place }).optional(),
});
const source = z.strictObject({
  mimeType: z.string(),
  bytes: amount,
  width: place.optional(),
  height: place.optional(),
  durationMs: amount.optional(),
});

/** The bytes that a process decodes are a stranger's, so nothing is taken from it unseen. */
export const pictureReplySchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  z.strictObject({ type: z.literal('begun') }),
  z.strictObject({ type: z.literal('progress'), done: amount }),
  z.strictObject({ type: z.literal('sized'), pixels: amount }),
  z.strictObject({
    type: z.literal('done'),
    content: z.strictObject({
      parts: z.array(part).min(1),
      estimatedTokens: amount,
      source,
      note: z.string().optional(),
    }),
    isInput: z.boolean(),
    rss: amount,
  }),
  z.strictObject({ type: z.literal('failed'), reason, message: z.string(), rss: amount }),
  z.strictObject({ type: z.literal('over'), limit: z.enum(['memory', 'cpu']) }),
]) satisfies z.ZodType<PictureReply>;
