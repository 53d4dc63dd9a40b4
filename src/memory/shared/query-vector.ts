import { type AbortOptions, linkedController, raceAbort } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import type { Embedder } from '../embedder.js';
import { checkVectors } from './embedding-backlog.js';

/** How a store embeds its queries. */
export interface QueryEmbedding {
  readonly embedder: Embedder | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * The vector of a query. Undefined without an embedder, and if it fails or takes longer than `timeoutMs`:
 * an embedder may improve an answer, never delay or fail it. Only the caller's abort rejects.
 */
export async function embedQuery(
  query: string,
  { clock, embedder, timeoutMs }: QueryEmbedding,
  { signal }: AbortOptions = {},
): Promise<Float32Array | undefined> {
  if (!embedder || query.trim() === '') return undefined;
  signal?.throwIfAborted();
  const stop = linkedController(signal);
  let timer: unknown;
  const late = new Promise<undefined>((resolve) => {
    timer = clock.setTimeout(() => resolve(undefined), timeoutMs);
  });
  const vector = Promise.resolve()
    .then(() => embedder.embed([query], { purpose: 'query', signal: stop.signal }))
    .then((vectors) => {
      checkVectors(vectors, 1, embedder);
      return vectors[0];
    })
    .catch(() => undefined);
  try {
    return await raceAbort(Promise.race([vector, late]), signal);
  } finally {
    clock.clearTimeout(timer);
    stop.unlink();
    stop.controller.abort();
  }
}
