import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { atLeastOne, nonBlank, partWith } from '../../core/parse-options.js';
import type { Embedder } from '../embedder.js';

export interface EmbeddedMemoryStoreOptions {
  /**
   * The SQLite file, created with its directory on the first write; `:memory:` keeps everything in the
   * process. Any number of processes may use one file on a local disk.
   */
  readonly path: string;
  /** Adds meaning to the ranking; without one the words alone decide. */
  readonly embedder?: Embedder | undefined;
  /** Memory for the indexes of the sessions used last, in bytes. Default 96 MiB. */
  readonly maxCacheBytes?: number | undefined;
  /** How long a recall waits for the query's embedding before the words alone decide. Default 300. */
  readonly queryEmbeddingTimeoutMs?: number | undefined;
  /** For tests. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
}

export const embeddedMemoryStoreOptionsSchema = z.strictObject({
  path: nonBlank,
  embedder: partWith<Embedder>('Embedder', 'embed').optional(),
  maxCacheBytes: atLeastOne.default(96 * 2 ** 20),
  queryEmbeddingTimeoutMs: z.number().min(0).default(300),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(systemClock),
}) satisfies z.ZodType<unknown, EmbeddedMemoryStoreOptions>;
