import type { ChromaClient } from 'chromadb';
import { type Clock, systemClock } from '../../core/clock.js';
import { ConfigurationError } from '../../core/errors.js';
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
  /**
   * A file on a local disk, created with its directory when it is needed. With it `append` resolves as
   * soon as the turn is on the disk here, also while the server is down; turns are brought to the server
   * in the background, those of a killed process by another one or at the next start. Any number of
   * processes of one machine may share it, if they use the same server and prefix. Default: none, and
   * `append` resolves when the server has accepted the turn.
   */
  readonly outbox?: string | undefined;
  /** How many turns may wait in the outbox before `append` rejects. Default 100,000. */
  readonly maxPending?: number | undefined;
  /** Memory for the conversations used last, in bytes. Default 96 MiB. */
  readonly maxCacheBytes?: number | undefined;
  /** How long a recall waits for the query's embedding before the words alone decide. Default 300. */
  readonly queryEmbeddingTimeoutMs?: number | undefined;
  /** How long one request may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** The options with their defaults, checked. */
export function resolveChromaOptions(options: ChromaMemoryStoreOptions) {
  const { env } = process;
  const url = options.url ?? env.CHROMA_URL ?? 'http://localhost:8000';
  if (!/^https?:\/\/[^/]/i.test(url) || !URL.canParse(url)) {
    throw new ConfigurationError(`The Chroma URL ${url} is not an http or https address. Check CHROMA_URL.`);
  }
  const prefix = options.collectionPrefix ?? 'multimodal-chat-';
  return {
    url,
    client: options.client,
    tenant: options.tenant ?? env.CHROMA_TENANT,
    database: options.database ?? env.CHROMA_DATABASE,
    token: options.token ?? env.CHROMA_API_KEY,
    embedder: options.embedder,
    turnsCollection: `${prefix}turns`,
    summariesCollection: `${prefix}summaries`,
    vectorsPrefix: `${prefix}vectors-`,
    outbox: options.outbox,
    maxPending: options.maxPending ?? 100_000,
    maxCacheBytes: options.maxCacheBytes ?? 96 * 1024 * 1024,
    queryEmbeddingTimeoutMs: options.queryEmbeddingTimeoutMs ?? 300,
    timeoutMs: options.timeoutMs ?? 30_000,
    clock: options.clock ?? systemClock,
  };
}
