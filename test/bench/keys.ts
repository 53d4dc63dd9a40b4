/**
 * `npm run bench:keys -- --json|--markdown [--quick] [--scenario NAME,...] [--policy NAME,...] [--window NAME,...]
 * [--load NUMBER,...] [--seed NUMBER,...] [--scenarios FILE] [--processes N]`
 *
 * Prints one JSON object on stdout: `runs` (one a policy, window, load, scenario and seed), `medians`
 * over the seeds, `micro`, and `redis` where processes share a ledger; progress goes to stderr.
 * `--scenario contention --processes N` measures N processes on one real Redis instead.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { markdownTable } from './keys/markdown-table.js';
import { medianRows } from './keys/median-rows.js';
import { measureMicro } from './keys/micro.js';
import { policies } from './keys/policies.js';
import { measureContention } from './keys/redis-contention.js';
import { measureRedisLatency } from './keys/redis-latency.js';
import { type BenchRow, runCase } from './keys/run-case.js';
import { type Bench, type BenchCase, readBench } from './keys/scenario.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    /** Prints the medians as a table instead. */
    markdown: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    scenario: { type: 'string' },
    policy: { type: 'string' },
    window: { type: 'string' },
    load: { type: 'string' },
    seed: { type: 'string' },
    scenarios: { type: 'string' },
    processes: { type: 'string', default: String(availableParallelism()) },
    /** Which of the processes this is. */
    part: { type: 'string' },
  },
});

const quickMinutes = 10;
const latencyRuns = 5;
const quickLatencyRuns = 3;
const isChosen = (list: string | undefined, value: string | number) =>
  list === undefined || list.split(',').includes(String(value));

function listCases(bench: Bench): BenchCase[] {
  const seeds =
    options.seed?.split(',').map(Number) ?? (options.quick ? bench.seeds.slice(0, 1) : bench.seeds);
  const cases: BenchCase[] = [];
  for (const scenario of bench.scenarios) {
    if (!isChosen(options.scenario, scenario.name)) continue;
    if (options.quick && options.scenario === undefined && !scenario.quick) continue;
    const minutes = scenario.minutes ?? (options.quick ? quickMinutes : bench.minutes);
    for (const window of scenario.windows.filter((name) => isChosen(options.window, name))) {
      for (const load of scenario.loads.filter((value) => isChosen(options.load, value))) {
        const names = scenario.policies ?? Object.keys(policies);
        for (const policy of names.filter((name) => isChosen(options.policy, name))) {
          for (const seed of seeds) cases.push({ scenario, policy, window, load, seed, minutes });
        }
      }
    }
  }
  return cases;
}

function report({ elapsedMs, failuresByCode, ...row }: BenchRow): void {
  process.stderr.write(`${JSON.stringify(row)} ${JSON.stringify(failuresByCode)} in ${elapsedMs} ms\n`);
}

/** Every so many-th case in a process of its own. */
async function runPart(part: number, processes: number): Promise<BenchRow[]> {
  const self = fileURLToPath(import.meta.url);
  const args = ['--import', 'tsx', self, ...process.argv.slice(2), '--part', `${part}`];
  const child = spawn(process.execPath, [...args, '--processes', `${processes}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const rows: BenchRow[] = [];
  createInterface(child.stdout).on('line', (line) => {
    const row = JSON.parse(line) as BenchRow;
    rows.push(row);
    report(row);
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`Part ${part} of the bench ended with ${code}.`);
  return rows;
}

const bench = readBench(
  options.scenarios ? pathToFileURL(options.scenarios) : new URL('./keys/scenarios.json', import.meta.url),
);
const cases = listCases(bench);
const processes = Number(options.processes);

if (options.scenario === 'contention') {
  const contention = await measureContention(bench.projects.unequal ?? [], processes);
  process.stdout.write(`${JSON.stringify(contention, undefined, 2)}\n`);
} else if (options.part !== undefined) {
  for (const [index, benchCase] of cases.entries()) {
    if (index % processes !== Number(options.part)) continue;
    const row = await runCase(bench, benchCase);
    if (row !== undefined) process.stdout.write(`${JSON.stringify(row)}\n`);
  }
} else {
  const parts = await Promise.all(Array.from({ length: processes }, (_, part) => runPart(part, processes)));
  const nameOf = (run: Omit<BenchCase, 'scenario' | 'minutes'> & { scenario: string }) =>
    [run.scenario, run.window, run.load, run.policy, run.seed].join('\n');
  const order = new Map(cases.map((run, index) => [nameOf({ ...run, scenario: run.scenario.name }), index]));
  const place = (row: BenchRow) => order.get(nameOf(row as Parameters<typeof nameOf>[0])) ?? 0;
  const runs = parts.flat().sort((a, b) => place(a) - place(b));
  const micro = await measureMicro();
  const sharing = new Set(
    cases.flatMap(({ scenario }) => (scenario.redisProcesses === undefined ? [] : [scenario.name])),
  );
  const redis =
    sharing.size === 0
      ? undefined
      : await measureRedisLatency(
          bench.projects.unequal ?? [],
          options.quick ? quickLatencyRuns : latencyRuns,
        );
  const acquire = redis && { acquireP50Ms: redis.acquireP50Ms, acquireP99Ms: redis.acquireP99Ms };
  const withAcquire = <Row extends { readonly scenario: string }>(rows: readonly Row[]) =>
    rows.map((row) => (sharing.has(row.scenario) ? { ...row, ...acquire } : row));
  const result = {
    node: process.version,
    platform: process.platform,
    micro,
    redis,
    medians: withAcquire(medianRows(runs)),
    runs: withAcquire(runs),
  };
  process.stdout.write(
    options.markdown
      ? markdownTable(result.medians)
      : `${JSON.stringify(result, undefined, options.json ? undefined : 2)}\n`,
  );
}
