import { execFile } from 'node:child_process';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ChromaMemoryStore } from '../../src/chroma.js';
import type { Turn } from '../../src/types.js';
import { startChromaServer } from '../support/chroma-server.js';
import { compiled } from './compiled.js';
import { obstacleToSqlite } from './memory-sqlite.js';
import { chromaDirect, fromStore, localSubjects, type Subject, timed } from './memory-subjects.js';
import { embedder, makeText, makeTurn } from './memory-turns.js';
import { median, quantile, rounded } from './statistics.js';

export const storeNames = ['embedded', 'better-sqlite3', 'chroma', 'chroma-outbox', 'chroma-direct'] as const;

export interface MemoryCase {
  readonly store: (typeof storeNames)[number];
  /** Turns in the store altogether. */
  readonly turns: number;
  /** Turns in the session that is asked. */
  readonly sessionTurns: number;
}

const samples = 200;
const largestBatch = 500;
const coldRuns = 5;
const progressEvery = 100_000;

async function diskMb(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map((file) => stat(join(file.parentPath, file.name))));
  return rounded(sizes.reduce((sum, { size }) => sum + size, 0) / 2 ** 20, 1);
}

interface ColdRecall {
  readonly ms: number;
  readonly cpuMs?: number;
}

/** Medians of processes of their own, which run what a package would hold: tsx would take part of the time. */
async function coldRecallOfFile(store: string, path: string): Promise<Required<ColdRecall>> {
  const script = await compiled('./memory-cold.ts');
  const runs: Required<ColdRecall>[] = [];
  for (let n = 0; n < coldRuns; n++) {
    const { stdout } = await promisify(execFile)(process.execPath, [script, store, path]);
    runs.push(JSON.parse(stdout) as Required<ColdRecall>);
  }
  return {
    ms: rounded(median(runs.map(({ ms }) => ms))),
    cpuMs: rounded(median(runs.map(({ cpuMs }) => cpuMs))),
  };
}

/** On a server: by a store that was just opened. */
async function coldRecallOnServer(subject: Subject): Promise<ColdRecall> {
  await subject.recall('nobody', makeText(3, 12));
  return { ms: rounded(await timed(() => subject.recall('asked', makeText(10, 12)))) };
}

async function fill(subject: Subject, { turns, sessionTurns }: MemoryCase): Promise<void> {
  const batch: Turn[] = [];
  for (let n = 0; n < turns; n++) {
    batch.push(makeTurn(n, n < sessionTurns ? 'asked' : `other-${n % Math.ceil(turns / 200)}`));
    if (batch.length === largestBatch || n === turns - 1) await subject.append(batch.splice(0));
    if (n % progressEvery === progressEvery - 1) {
      await subject.flush();
      process.stderr.write(`${n + 1} turns after ${Math.round(performance.now() / 1000)} s\n`);
    }
  }
  await subject.flush();
}

/** Fills a store, then times single appends and warm recalls. */
async function measure(subject: Subject, memoryCase: MemoryCase) {
  await fill(subject, memoryCase);
  const query = (n: number) => makeText(n * 7 + 3, 12);
  const appendMs: number[] = [];
  for (let n = 0; n < samples; n++) {
    const turn = makeTurn(memoryCase.turns + n, 'appended');
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
  return {
    appendP50Ms: rounded(median(appendMs)),
    appendP99Ms: rounded(quantile(appendMs, 0.99)),
    recallWarmP50Ms: rounded(median(recallMs)),
    ...(composeMs.length > 0 ? { composeP50Ms: rounded(median(composeMs)) } : {}),
    rssMb: rounded(process.memoryUsage().rss / 2 ** 20, 0),
  };
}

/** Where the file of a case is, inside the directory of all cases. */
export const caseDirectory = (all: string, { store, turns, sessionTurns }: MemoryCase): string =>
  join(all, `${store}-${turns}-${sessionTurns}`);
export const caseFile = (all: string, memoryCase: MemoryCase): string =>
  join(caseDirectory(all, memoryCase), 'memory.db');

async function runLocalCase(memoryCase: MemoryCase, all: string, open: (path: string) => Promise<Subject>) {
  const obstacle = memoryCase.store === 'better-sqlite3' ? await obstacleToSqlite() : undefined;
  if (obstacle) {
    process.stderr.write(`Skipped: ${obstacle}\n`);
    return undefined;
  }
  const directory = caseDirectory(all, memoryCase);
  const path = caseFile(all, memoryCase);
  await mkdir(directory, { recursive: true });
  const subject = await open(path);
  const figures = await measure(subject, memoryCase);
  await subject.close();
  const { ms, cpuMs } = await coldRecallOfFile(memoryCase.store, path);
  const disk = await diskMb(directory);
  return { ...memoryCase, ...figures, recallColdMs: ms, recallColdCpuMs: cpuMs, diskMb: disk };
}

/**
 * Runs one case; best in a process of its own, for the sake of `rssMb`. Nothing where the store cannot
 * run here; why is said on stderr.
 *
 * @param directory of all cases, where files stay.
 */
export async function runMemoryCase(memoryCase: MemoryCase, directory: string) {
  const openLocal = localSubjects[memoryCase.store];
  if (openLocal) return runLocalCase(memoryCase, directory, openLocal);
  const server = await startChromaServer();
  if (!server) return undefined;
  try {
    const { url, dataDirectory } = server;
    const outbox = memoryCase.store === 'chroma-outbox' ? join(dataDirectory, 'outbox.db') : undefined;
    const open = () => new ChromaMemoryStore({ url, embedder, outbox, queryEmbeddingTimeoutMs: 60_000 });
    const subject = memoryCase.store === 'chroma-direct' ? await chromaDirect(url) : fromStore(open);
    const figures = await measure(subject, memoryCase);
    const reopened = await subject.reopen();
    const { ms } = await coldRecallOnServer(reopened);
    await reopened.close();
    return { ...memoryCase, ...figures, recallColdMs: ms, diskMb: await diskMb(dataDirectory) };
  } finally {
    await server.stop();
  }
}
