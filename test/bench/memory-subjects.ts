import type { Turn } from '../../src/core/turn.js';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import type { MemoryStore } from '../../src/memory/memory-store.js';
import { composeContext } from '../../src/turn/context/compose.js';
import { sqliteScan } from './memory-sqlite.js';
import { embedder, makeVector } from './memory-turns.js';

/** A store as the benchmark sees it. */
export interface Subject {
  append(turns: readonly Turn[]): Promise<void>;
  recall(sessionId: string, query: string): Promise<unknown>;
  /** All that a request needs of memory: the last turns, those that bear on the query, and the request. */
  compose?(sessionId: string, query: string): Promise<unknown>;
  flush(): Promise<void>;
  /** Another one over the same data, with nothing in its caches. */
  reopen(): Promise<Subject>;
  close(): Promise<void>;
}

export const fromStore = (open: () => MemoryStore): Subject => {
  const store = open();
  return {
    append: async (turns) => {
      await Promise.all(turns.map((turn) => store.append(turn)));
    },
    recall: (sessionId, query) => store.recall({ tenant: 'bench', sessionId }, query, { limit: 10 }),
    compose: async (sessionId, query) => {
      const conversation = { tenant: 'bench', sessionId };
      const [recent, recalled] = await Promise.all([
        store.recent(conversation, { limit: 50 }),
        store.recall(conversation, query, { limit: 50 }),
      ]);
      const budget = { recentTokens: 8_000, recallTokens: 4_000 };
      return composeContext({ prompt: query, media: [], recent, recalled, budget });
    },
    flush: () => store.flush(),
    reopen: async () => {
      await store.close();
      return fromStore(open);
    },
    close: () => store.close(),
  };
};

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** What an app would write by hand: one collection, upsert with the vector, query with a filter. */
export async function chromaDirect(url: string): Promise<Subject> {
  const { ChromaClient } = await import('chromadb');
  const { hostname, port } = new URL(url);
  const client = new ChromaClient({ host: hostname, port: Number(port) });
  const collection = await client.getOrCreateCollection({
    name: 'direct',
    embeddingFunction: null,
    configuration: { hnsw: { space: 'cosine' } },
  });
  return {
    append: async (turns) => {
      const texts = turns.map(({ prompt, reply }) => `${prompt}\n${reply}`);
      await collection.upsert({
        ids: turns.map(({ sessionId, id }) => `${sessionId}/${id}`),
        embeddings: texts.map((text) => Array.from(makeVector(text))),
        documents: texts,
        metadatas: turns.map(({ sessionId }) => ({ sessionId })),
      });
    },
    recall: (sessionId, query) =>
      collection.query({
        queryEmbeddings: [Array.from(makeVector(query))],
        nResults: 10,
        where: { sessionId },
        include: ['documents', 'metadatas', 'distances'],
      }),
    flush: async () => undefined,
    reopen: () => chromaDirect(url),
    close: async () => undefined,
  };
}

export const openEmbedded = async (path: string): Promise<Subject> =>
  fromStore(() => new EmbeddedMemoryStore({ path, embedder, queryEmbeddingTimeoutMs: 60_000 }));

/** What works on a file: ours, and what an app would write by hand. */
export const localSubjects: Readonly<Record<string, (path: string) => Promise<Subject>>> = {
  embedded: openEmbedded,
  'better-sqlite3': sqliteScan,
};
