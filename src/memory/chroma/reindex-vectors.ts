import type { ReindexOptions } from '../memory-store.js';
import type { EmbeddingBacklog } from '../shared/embedding-backlog.js';
import type { ChromaConnection } from './chroma-connection.js';
import type { ChromaTurns } from './chroma-turns.js';
import type { ChromaVectors } from './chroma-vectors.js';

const pageSize = 500;

interface ReindexDeps {
  readonly connection: ChromaConnection;
  readonly turns: ChromaTurns;
  readonly vectors: ChromaVectors;
  readonly backlog: EmbeddingBacklog<string>;
  /** Of the collections of all embedders. */
  readonly prefix: string;
}

/** Makes the vectors that are missing for this embedder; then drops those of others. */
export async function reindexVectors(
  { backlog, connection, prefix, turns, vectors }: ReindexDeps,
  { signal, onProgress }: ReindexOptions,
): Promise<void> {
  const [total, known] = await Promise.all([turns.count(), vectors.count()]);
  const storedBefore = vectors.stored;
  const report = () => {
    onProgress?.({ done: Math.min(total, known + vectors.stored - storedBefore), total });
  };
  report();
  backlog.retryRefused();
  // Backwards: if turns are forgotten meanwhile, later ones move forward, and some are seen twice, none missed.
  for (let end = total; end > 0; end -= pageSize) {
    const from = Math.max(0, end - pageSize);
    await vectors.addUnembedded(await turns.page(from, end - from, signal), signal);
    await backlog.drain({ signal, onBatch: report });
  }
  for (const name of await connection.collections(prefix, signal)) {
    if (name !== vectors.collection) await connection.drop(name, signal);
  }
}
