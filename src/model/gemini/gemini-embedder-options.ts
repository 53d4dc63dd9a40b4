import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { durationMs, nonBlank, partWith } from '../../core/parse-options.js';
import type { KeyPool } from '../../keys/key-pool.js';
import { defaultEmbeddingDimensions, defaultEmbeddingModel } from './default-models.js';
import { type GeminiEndpointOptions, geminiEndpointShape } from './gemini-endpoint.js';

export interface GeminiEmbedderOptions extends GeminiEndpointOptions {
  /** Where the keys come from; one is leased per batch. */
  readonly keyPool: KeyPool;
  /** Default `gemini-embedding-2`. */
  readonly model?: string | undefined;
  /** Length of the vectors, 1 to 3,072; Google advises 768, 1,536 or 3,072. Default 768. */
  readonly dimensions?: number | undefined;
  /** How long one batch may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
}

export const geminiEmbedderOptionsSchema = z.strictObject({
  ...geminiEndpointShape,
  keyPool: partWith<KeyPool>('KeyPool', 'acquire'),
  model: nonBlank.default(defaultEmbeddingModel),
  dimensions: z.number().int().min(1).max(3072).default(defaultEmbeddingDimensions),
  timeoutMs: durationMs.default(30_000),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(() => systemClock),
}) satisfies z.ZodType<unknown, GeminiEmbedderOptions>;
