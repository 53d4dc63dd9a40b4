import type { ChromaClient } from 'chromadb';
import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { atLeastOne, durationMs, nonBlank, parseOptions, partWith } from '../../core/parse-options.js';
import type { Embedder } from '../embedder.js';

export interface ChromaMemoryStoreOptions {
  /** Where the server is. Default: `CHROMA_URL`, or `http://localhost:8000`. */
  readonly url?: string | undefined;
  /** A client of your own, used as it is instead of `url`, `tenant`, `database` and `token`. */
  readonly client?: ChromaClient | undefined;
  /** Chroma's tenant, for Chroma Cloud; not a tenant of your app. Default: `CHROMA_TENANT` or Chroma's own. */
  readonly tenant?: string | undefined;
  /** Chroma's database. Default: `CHROMA_DATABASE` or Chroma's own. */
  readonly database?: string | undefined;
  /** Sent as `x-chroma-token`. Default: `CHROMA_API_KEY`, or none. */
  readonly token?: string | undefined;
  /** Adds meaning to the ranking; without one the words alone decide. */
  readonly embedder?: Embedder | undefined;
  /** Begins the names of the collections. Default `multimodal-chat-`. */
  readonly collectionPrefix?: string | undefined;
  /** Memory for the conversations used last, in bytes. Default 96 MiB. */
  readonly maxCacheBytes?: number | undefined;
  /** How long a recall waits for the query's embedding before the words alone decide. Default 300. */
  readonly queryEmbeddingTimeoutMs?: number | undefined;
  /** How long one request may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** For tests. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
}

const isHttpUrl = (url: string) => /^https?:\/\/[^/]/i.test(url) && URL.canParse(url);

export const chromaMemoryStoreOptionsSchema = z.strictObject({
  url: z
    .string()
    .refine(isHttpUrl, 'must be an http or https address; check CHROMA_URL')
    .prefault(() => process.env.CHROMA_URL ?? 'http://localhost:8000'),
  client: partWith<ChromaClient>('Chroma client', 'getOrCreateCollection', 'listCollections').optional(),
  tenant: nonBlank.optional(),
  database: nonBlank.optional(),
  token: nonBlank.optional(),
  embedder: partWith<Embedder>('Embedder', 'embed').optional(),
  collectionPrefix: z.string().default('multimodal-chat-'),
  maxCacheBytes: atLeastOne.default(96 * 2 ** 20),
  queryEmbeddingTimeoutMs: z.number().min(0).default(300),
  timeoutMs: durationMs.default(30_000),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(systemClock),
}) satisfies z.ZodType<unknown, ChromaMemoryStoreOptions>;

/** @throws ConfigurationError that names every option that is wrong. */
export function resolveChromaOptions(options: ChromaMemoryStoreOptions) {
  const { collectionPrefix: prefix, ...parsed } = parseOptions(
    chromaMemoryStoreOptionsSchema,
    options,
    'ChromaMemoryStore',
  );
  const { env } = process;
  return {
    ...parsed,
    tenant: parsed.tenant ?? env.CHROMA_TENANT,
    database: parsed.database ?? env.CHROMA_DATABASE,
    token: parsed.token ?? env.CHROMA_API_KEY,
    turnsCollection: `${prefix}turns`,
    summariesCollection: `${prefix}summaries`,
    vectorsPrefix: `${prefix}vectors-`,
  };
}
