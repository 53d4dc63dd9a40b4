import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { composeContext } from '../../src/context/compose.js';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import type { Embedder } from '../../src/memory/embedder.js';
import type { MemoryStore } from '../../src/memory/memory-store.js';
import type { Turn } from '../../src/types.js';
import { startChromaServer } from '../support/chroma-server.js';
import { median, quantile, rounded } from './statistics.js';

export const storeNames = ['embedded', 'chroma', 'chroma-outbox', 'chroma-direct'] as const;

export interface MemoryCase {
  readonly store: (typeof storeNames)[number];
  /** Turns in the store altogether. */
  readonly turns: number;
  /** Turns in the session that is asked. */
  readonly sessionTurns: number;
}

const dimensions = 768;
const samples = 200;
const largestBatch = 500;

/** Words drawn by a rule of their own, so that every run has the same texts: few common, many rare. */
export function makeText(seed: number, words: number): string {
  let state = (seed * 2_654_435_761) >>> 0;
  return Array.from({ length: words }, () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return `word${Math.floor(20_000 ** (state / 2 ** 32))}`;
  }).join(' ');
}

function makeVector(text: string): Float32Array {
  const vector = new Float32Array(dimensions);
  let state = text.length;
  for (let at = 0; at < dimensions; at++) {
    state = (state * 1_664_525 + 1_013_904_223 + text.charCodeAt(at % text.length)) >>> 0;
    vector[at] = state / 2 ** 32 - 0.5;
  }
  const length = Math.hypot(...vector);
  return vector.map((component) => component / length);
}

/** Costs next to nothing, so that the store is measured. */
export const embedder: Embedder = {
  model: 'bench',
  dimensions,
  embed: async (texts) => texts.map(makeVector),
};

export const makeTurn = (n: number, sessionId: string): Turn => ({
  tenant: 'bench',
  sessionId,
  id: `turn-${n}`,
  createdAt: 1_700_000_000_000 + n,
  prompt: makeText(n, 20),
  reply: makeText(n + 500_000_000, 60),
});

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

async function diskBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map((file) => stat(join(file.parentPath, file.name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Fills a store, then times single appends, warm recalls, and the first recall of a fresh process. */
async function measure(opened: Subject, { turns, sessionTurns }: MemoryCase, directory: string) {
  let subject = opened;
  const batch: Turn[] = [];
  for (let n = 0; n < turns; n++) {
    batch.push(makeTurn(n, n < sessionTurns ? 'asked' : `other-${n % Math.ceil(turns / 200)}`));
    if (batch.length === largestBatch || n === turns - 1) await subject.append(batch.splice(0));
  }
  await subject.flush();
  const query = (n: number) => makeText(n * 7 + 3, 12);
  const appendMs: number[] = [];
  for (let n = 0; n < samples; n++) {
    const turn = makeTurn(turns + n, 'appended');
    appendMs.push(await timed(() => subject.append([turn])));
  }
  await subject.flush();
  await subject.recall('asked', query(0));
  const recallMs: number[] = [];
  for (let n = 0; n < samples; n++) recallMs.push(await timed(() => subject.recall('asked', query(n))));
  const composeMs: number[] = [];
  for (let n = 0; subject.compose && n < samples; n++) {
    const { compose } = subject;
    composeMs.push(await timed(() => compose('asked', query(n))));
  }
  await subject.flush();
  subject = await subject.reopen();
  await subject.recall('nobody', query(0));
  const coldMs = await timed(() => subject.recall('asked', query(1)));
  const figures = {
    appendP50Ms: rounded(median(appendMs)),
    appendP99Ms: rounded(quantile(appendMs, 0.99)),
    recallWarmP50Ms: rounded(median(recallMs)),
    recallColdMs: rounded(coldMs),
    ...(composeMs.length > 0 ? { composeP50Ms: rounded(median(composeMs)) } : {}),
    rssMb: rounded(process.memoryUsage().rss / 2 ** 20, 0),
    diskMb: rounded((await diskBytes(directory)) / 2 ** 20, 1),
  };
  await subject.close();
  return figures;
}

/** Runs one case; best in a process of its own, for the sake of `rssMb`. Nothing where the server cannot run. */
export async function runMemoryCase(memoryCase: MemoryCase) {
  if (memoryCase.store === 'embedded') {
    const directory = await mkdtemp(join(tmpdir(), 'bench-memory-'));
    try {
      const open = () =>
        new EmbeddedMemoryStore({
          path: join(directory, 'memory.db'),
          embedder,
          queryEmbeddingTimeoutMs: 60_000,
        });
      return { ...memoryCase, ...(await measure(fromStore(open), memoryCase, directory)) };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
  const server = await startChromaServer();
  if (!server) return undefined;
  try {
    const { url, dataDirectory } = server;
    const outbox = memoryCase.store === 'chroma-outbox' ? join(dataDirectory, 'outbox.db') : undefined;
    const open = () => new ChromaMemoryStore({ url, embedder, outbox, queryEmbeddingTimeoutMs: 60_000 });
    const subject = memoryCase.store === 'chroma-direct' ? await chromaDirect(url) : fromStore(open);
    return { ...memoryCase, ...(await measure(subject, memoryCase, dataDirectory)) };
  } finally {
    await server.stop();
  }
}
