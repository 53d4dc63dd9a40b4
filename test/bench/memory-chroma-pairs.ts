import { ChromaMemoryStore } from '../../src/chroma.js';
import { startChromaServer } from '../support/chroma-server.js';
import { chromaDirect, fromStore, type Subject, timed } from './memory-subjects.js';
import { embedder, makeText, makeTurn } from './memory-turns.js';
import { median, rounded } from './statistics.js';

const rounds = 150;
const largestBatch = 500;

/**
 * Chroma through the store to Chroma called directly, call by call in turn on one server: what else
 * the machine does meets both alike. Medians of each, and the ratio of the medians.
 */
export async function measureChromaPairs(sessionTurns: number) {
  const server = await startChromaServer();
  if (!server) return undefined;
  try {
    const open = () => new ChromaMemoryStore({ url: server.url, embedder, queryEmbeddingTimeoutMs: 60_000 });
    const subjects = { ours: fromStore(open), direct: await chromaDirect(server.url) };
    for (const subject of Object.values(subjects)) await fill(subject, sessionTurns);
    const append = await inTurn(subjects, (subject, n) => subject.append([makeTurn(n, 'appended')]));
    const recall = await inTurn(subjects, (subject, n) => subject.recall('asked', makeText(n * 7 + 3, 12)));
    await subjects.ours.close();
    return { sessionTurns, append, recall };
  } finally {
    await server.stop();
  }
}

async function fill(subject: Subject, turns: number): Promise<void> {
  for (let n = 0; n < turns; n += largestBatch) {
    const count = Math.min(largestBatch, turns - n);
    await subject.append(Array.from({ length: count }, (_, at) => makeTurn(n + at, 'asked')));
  }
  await subject.flush();
  for (let n = 0; n < 20; n++) await subject.recall('asked', makeText(n, 12));
}

async function inTurn(
  { ours, direct }: { readonly ours: Subject; readonly direct: Subject },
  work: (subject: Subject, n: number) => Promise<unknown>,
) {
  const oursMs: number[] = [];
  const directMs: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const first = async () => oursMs.push(await timed(() => work(ours, n)));
    const second = async () => directMs.push(await timed(() => work(direct, n)));
    for (const call of n % 2 === 0 ? [first, second] : [second, first]) await call();
  }
  const ratio = rounded(median(oursMs) / median(directMs), 2);
  return { oursP50Ms: rounded(median(oursMs)), directP50Ms: rounded(median(directMs)), ratio };
}
