import { execFile } from 'node:child_process';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ChromaMemoryStore } from '../../src/chroma.js';
import type { Turn } from '../../src/core/turn.js';
import { withOutbox } from '../../src/memory/outbox/with-outbox.js';
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
  /** Turns in each of the sessions that are asked, which make a row each. */
  readonly sessions: readonly number[];
  /** Of the server, for stores on one. */
  readonly server?: { readonly url: string; readonly dataDirectory: string };
  /** Stores on a server are all filled before the first of them is measured. */
  readonly step?: 'fill' | 'measure';
}

/** What a case prints of each of its sessions. */
export interface MemoryRow {
  readonly store: string;
  readonly turns: number;
  readonly sessionTurns: number;
  readonly appendP50Ms: number;
  readonly appendP99Ms: number;
  readonly recallWarmP50Ms: number;
  readonly composeP50Ms?: number;
  readonly recallColdMs: number;
  readonly recallColdCpuMs?: number;
  /** Of the process that calls, not of a server. */
  readonly rssMb: number;
  /** Of all that the store was filled with; on a server the caller knows it. */
  readonly diskMb?: number | undefined;
}

export const askedSession = (sessionTurns: number): string => `asked-${sessionTurns}`;

const samples = 200;
const largestBatch = 500;
const coldRuns = 5;
const progressEvery = 50_000;

export async function diskMb(directory: string): Promise<number> {
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
async function coldRecallOfFile(store: string, path: string, session: string): Promise<Required<ColdRecall>> {
  const script = await compiled('./memory-cold.ts');
  const runs: Required<ColdRecall>[] = [];
  for (let n = 0; n < coldRuns; n++) {
    const { stdout } = await promisify(execFile)(process.execPath, [script, store, path, session]);
    runs.push(JSON.parse(stdout) as Required<ColdRecall>);
  }
  return {
    ms: rounded(median(runs.map(({ ms }) => ms))),
    cpuMs: rounded(median(runs.map(({ cpuMs }) => cpuMs))),
  };
}

/** On a server: by a store that was just opened. */
async function coldRecallOnServer(subject: Subject, session: string): Promise<ColdRecall> {
  await subject.recall('nobody', makeText(3, 12));
  return { ms: rounded(await timed(() => subject.recall(session, makeText(10, 12)))) };
}

/** The sessions that are asked come first, the rest is of others, of 200 turns each. */
async function fill(subject: Subject, { turns, sessions }: MemoryCase): Promise<void> {
  const asked = sessions.flatMap((count) => Array<string>(count).fill(askedSession(count)));
  const others = Math.ceil(turns / 200);
  const batch: Turn[] = [];
  for (let n = 0; n < turns; n++) {
    batch.push(makeTurn(n, asked[n] ?? `other-${n % others}`));
    if (batch.length === largestBatch || n === turns - 1) await subject.append(batch.splice(0));
    if (n % progressEvery === progressEvery - 1) {
      await subject.flush();
      process.stderr.write(`${n + 1} turns after ${Math.round(performance.now() / 1000)} s\n`);
    }
  }
  await subject.flush();
}

/** Times single appends and warm recalls. */
async function measure(subject: Subject, { store, turns }: MemoryCase, sessionTurns: number) {
  const query = (n: number) => makeText(n * 7 + 3, 12);
  const appendMs: number[] = [];
  for (let n = 0; n < samples; n++) {
    const turn = makeTurn(turns + n, `appended-${store}-${sessionTurns}`);
    appendMs.push(await timed(() => subject.append([turn])));
  }
  await subject.flush();
  const asked = askedSession(sessionTurns);
  await subject.recall(asked, query(0));
  const recallMs: number[] = [];
  for (let n = 0; n < samples; n++) recallMs.push(await timed(() => subject.recall(asked, query(n))));
  const composeMs: number[] = [];
  for (let n = 0; subject.compose && n < samples; n++) {
    const { compose } = subject;
    composeMs.push(await timed(() => compose(asked, query(n))));
  }
  await subject.flush();
  return {
    ...{ store, turns, sessionTurns },
    appendP50Ms: rounded(median(appendMs)),
    appendP99Ms: rounded(quantile(appendMs, 0.99)),
    recallWarmP50Ms: rounded(median(recallMs)),
    ...(composeMs.length > 0 ? { composeP50Ms: rounded(median(composeMs)) } : {}),
    rssMb: rounded(process.memoryUsage().rss / 2 ** 20, 0),
  };
}

/** Where the file of a case is, inside the directory of all cases. */
const caseDirectory = (all: string, { store, turns, sessions }: MemoryCase): string =>
  join(all, [store, turns, ...sessions].join('-'));
export const caseFile = (all: string, memoryCase: MemoryCase): string =>
  join(caseDirectory(all, memoryCase), 'memory.db');

async function runLocalCase(
  memoryCase: MemoryCase,
  all: string,
  open: (path: string) => Promise<Subject>,
): Promise<MemoryRow[]> {
  const obstacle = memoryCase.store === 'better-sqlite3' ? await obstacleToSqlite() : undefined;
  if (obstacle) {
    process.stderr.write(`Skipped: ${obstacle}\n`);
    return [];
  }
  const directory = caseDirectory(all, memoryCase);
  const path = caseFile(all, memoryCase);
  await mkdir(directory, { recursive: true });
  const subject = await open(path);
  await fill(subject, memoryCase);
  const rows: Omit<MemoryRow, 'recallColdMs'>[] = [];
  for (const sessionTurns of memoryCase.sessions) rows.push(await measure(subject, memoryCase, sessionTurns));
  await subject.close();
  const whole: MemoryRow[] = [];
  for (const row of rows) {
    const cold = await coldRecallOfFile(memoryCase.store, path, askedSession(row.sessionTurns));
    const disk = await diskMb(directory);
    whole.push({ ...row, recallColdMs: cold.ms, recallColdCpuMs: cold.cpuMs, diskMb: disk });
  }
  return whole;
}

async function runServerCase(
  memoryCase: MemoryCase,
  { url, dataDirectory }: NonNullable<MemoryCase['server']>,
): Promise<MemoryRow[]> {
  const openPlain = () => new ChromaMemoryStore({ url, embedder, queryEmbeddingTimeoutMs: 60_000 });
  const path = join(dataDirectory, 'outbox.db');
  const open = () => (memoryCase.store === 'chroma-outbox' ? withOutbox(openPlain(), { path }) : openPlain());
  let subject = memoryCase.store === 'chroma-direct' ? await chromaDirect(url) : fromStore(open);
  if (memoryCase.step === 'fill') await fill(subject, memoryCase);
  const rows: MemoryRow[] = [];
  for (const sessionTurns of memoryCase.step === 'measure' ? memoryCase.sessions : []) {
    const row = await measure(subject, memoryCase, sessionTurns);
    subject = await subject.reopen();
    const { ms } = await coldRecallOnServer(subject, askedSession(sessionTurns));
    rows.push({ ...row, recallColdMs: ms });
  }
  await subject.close();
  return rows;
}

/**
 * Runs one case; best in a process of its own, for the sake of `rssMb`. Empty if the store cannot
 * run here, with the reason on stderr.
 *
 * @param directory Of all cases, where files stay.
 */
export async function runMemoryCase(memoryCase: MemoryCase, directory: string): Promise<MemoryRow[]> {
  const openLocal = localSubjects[memoryCase.store];
  if (openLocal) return runLocalCase(memoryCase, directory, openLocal);
  if (!memoryCase.server) throw new Error(`${memoryCase.store} needs a server.`);
  return runServerCase(memoryCase, memoryCase.server);
}
