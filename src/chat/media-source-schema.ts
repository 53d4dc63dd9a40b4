import { z } from 'zod';
import type { MediaSource } from '../core/media.js';

/** Any further field would be ignored, for example a misspelled `startMs`. */
const namedMediaSchema = z.strictObject({
  data: z.unknown(),
  name: z.string().optional(),
  mimeType: z.string().optional(),
  startMs: z.number().optional(),
  endMs: z.number().optional(),
});

/** An object that was written down, not a stream or the instance of a class. */
const isNamed = (value: unknown) =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  'data' in value;

/** An attachment. What `data` holds is for the `MediaProcessor` to judge. */
export const mediaSourceSchema = z
  .custom<MediaSource>(
    (value) => value !== undefined && value !== null,
    'is missing: it must be a path, a URL, bytes, a Blob, a stream, or an object with one of these as `data`',
  )
  .superRefine((value, context) => {
    const issues = isNamed(value) ? namedMediaSchema.safeParse(value).error?.issues : undefined;
    for (const { message, path } of issues ?? []) context.addIssue({ code: 'custom', path, message });
  });
