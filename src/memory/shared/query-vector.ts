import type { AbortOptions } from '../../core/abort.js';
import { type Clock, systemClock } from '../../core/clock.js';
import type { Embedder } from '../embedder.js';
import { checkVectors } from './embedding-backlog.js';

/**
 * The vector of a query, or nothing when the embedder fails or takes longer than `timeoutMs`: an
 * embedder may improve an answer, never delay or fail it. Only the caller's abort rejects.
 */
export async function embedQuery(
  embedder: Embedder,
  query: string,
  { signal, timeoutMs, clock = systemClock }: AbortOptions & { timeoutMs: number; clock?: Clock | undefined },
): Promise<Float32Array | undefined> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let timer: unknown;
  const late = new Promise<undefined>((resolve) => {
    timer = clock.setTimeout(() => resolve(undefined), timeoutMs);
    stop.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const vector = Promise.resolve()
    .then(() => embedder.embed([query], { purpose: 'query', signal: stop.signal }))
    .then((vectors) => {
      checkVectors(vectors, 1, embedder);
      return vectors[0];
    })
    .catch(() => undefined);
  try {
    const first = await Promise.race([vector, late]);
    signal?.throwIfAborted();
    return first;
  } finally {
    clock.clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    stop.abort();
  }
}
