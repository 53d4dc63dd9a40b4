import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FuzzJob, FuzzMessage } from './media-fuzz-worker.js';

export interface FuzzReport {
  readonly mutants: number;
  /** How often each outcome came up. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** What went wrong, with the number of the mutant. */
  readonly problems: readonly string[];
  /** Files and processes that were left. */
  readonly leftovers: readonly string[];
  /** Resident memory of the reading process, each time after as many mutants and a collection of garbage. */
  readonly rssMb: readonly number[];
}

const worker = fileURLToPath(new URL('./media-fuzz-worker.ts', import.meta.url));
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const enoughProblems = 10;
/**
 * glibc keeps what was freed in an arena for each thread, and raises the size from which it gives memory
 * back at once with each larger piece: resident memory then grows in steps as if something leaked. With
 * these what is freed is gone, and what grows is a leak.
 */
const plainAllocator = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

/** Reads all mutants of a job, in a new process after each that crashes it or never comes to an end. */
export async function fuzz(job: FuzzJob): Promise<FuzzReport> {
  const report = {
    mutants: 0,
    outcomes: {} as Record<string, number>,
    problems: [] as string[],
    leftovers: [] as string[],
    rssMb: [] as number[],
  };
  for (let from = job.from; from < job.to && report.problems.length < enoughProblems; )
    from = await runWorker({ ...job, from }, report);
  return report;
}

type Growing<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] } & {
  outcomes: Record<string, number>;
};

/** Resolves with the number of the first mutant that was not begun. */
function runWorker(job: FuzzJob, report: Growing<FuzzReport>): Promise<number> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(worker, {
      execArgv: ['--import', tsx, '--expose-gc'],
      env: { ...process.env, ...plainAllocator },
    });
    const underWay = new Set<number>();
    let next = job.from;
    let hung = false;
    let timer: NodeJS.Timeout;
    const watch = () => {
      clearTimeout(timer);
      // The worker's own time limits come first, unless it is stuck.
      timer = setTimeout(() => {
        hung = true;
        child.kill('SIGKILL');
      }, job.timeoutMs * 2);
    };
    child.on('message', (message: FuzzMessage) => {
      watch();
      if (message.type === 'started') {
        underWay.add(message.index);
        next = message.index + 1;
      } else if (message.type === 'finished') {
        underWay.delete(message.index);
        report.mutants += 1;
        report.outcomes[message.outcome] = (report.outcomes[message.outcome] ?? 0) + 1;
        if (message.problem) report.problems.push(`Mutant ${message.index}: ${message.problem}`);
      } else {
        report.leftovers.push(...message.leftovers);
        report.rssMb.push(...message.rssMb);
      }
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (underWay.size === 0 && next === job.to) {
        if (code !== 0) report.problems.push('Something kept the process from ending.');
        resolve(job.to);
        return;
      }
      if (code !== 0) {
        const what = hung ? 'never came to an end' : `ended the process with ${signal ?? `code ${code}`}`;
        report.problems.push(`Mutant ${[...underWay].join(' or ')} ${what}.`);
      }
      resolve(code === 0 ? job.to : next);
    });
    child.send(job);
    watch();
  });
}

/**
 * By how many megabytes memory grew over the last two thirds of the samples, after caches and pools are
 * filled: by the median of the slopes between all pairs (Theil and Sen), to which a single step, of
 * the one mutant that claims a hundred million pixels, means little, and a leak everything.
 */
export function growthMb(rssMb: readonly number[]): number {
  const settled = rssMb.slice(Math.floor(rssMb.length / 3));
  const slopes = settled.flatMap((mb, i) =>
    settled.slice(i + 1).map((later, distance) => (later - mb) / (distance + 1)),
  );
  const median = slopes.sort((a, b) => a - b)[slopes.length >> 1] ?? 0;
  return median * (settled.length - 1);
}
