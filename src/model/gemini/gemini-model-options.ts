import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { count, durationMs, nonBlank, partWith } from '../../core/parse-options.js';
import { defaultChatModel } from './default-models.js';
import { type GeminiEndpointOptions, geminiEndpointShape } from './gemini-endpoint.js';

export interface GeminiModelOptions extends GeminiEndpointOptions {
  /** Answers unless a call names another. Default: `GEMINI_MODEL`, else `gemini-3.8-flash`. */
  readonly model?: string | undefined;
  /**
   * Further key values to remove from errors, beside the key of the call. Called when a call fails.
   * Default: none.
   */
  readonly secrets?: (() => readonly string[]) | undefined;
  /** How long one call may take, in milliseconds. */
  readonly timeouts?:
    | {
        /**
         * From the start to the first chunk, whatever it holds; comments of proxies do not count. Default: by
         * how much the model thinks, 90,000 for `minimal` to 300,000 for `xhigh`, 180,000 if no level is set.
         */
        readonly firstTokenMs?: number | undefined;
        /**
         * Silence after that. The time that the reader takes does not count, and after a finish reason a short
         * silence ends the answer. Default: as `firstTokenMs`.
         */
        readonly betweenChunksMs?: number | undefined;
        /** The whole call. Default 300,000. */
        readonly totalMs?: number | undefined;
      }
    | undefined;
  /**
   * How long an uploaded file stays with Gemini after its last use, in milliseconds, so that retries and
   * follow-ups find it. `close` deletes it at once. Default 600,000.
   */
  readonly keepUploadsMs?: number | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
}

export const geminiModelOptionsSchema = z.strictObject({
  ...geminiEndpointShape,
  model: nonBlank.default(() => process.env.GEMINI_MODEL?.trim() || defaultChatModel),
  secrets: z
    .custom<() => readonly string[]>((value) => typeof value === 'function', 'must be a function')
    .default(() => () => []),
  timeouts: z
    .strictObject({
      firstTokenMs: durationMs.optional(),
      betweenChunksMs: durationMs.optional(),
      totalMs: durationMs.default(300_000),
    })
    .prefault({}),
  keepUploadsMs: count.default(600_000),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(() => systemClock),
}) satisfies z.ZodType<unknown, GeminiModelOptions>;

export type ResolvedModelOptions = z.output<typeof geminiModelOptionsSchema>;
