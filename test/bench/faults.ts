/**
 * `npm run bench:faults -- --json [--quick] [--fault NAME,...] [--mode share,all] [--seed NUMBER]
 * [--slack-ms NUMBER]`
 *
 * The server under load, through every fault of the emulator. Emulator, server and load each run in a
 * process of their own. Prints one JSON object on stdout, progress goes to stderr; ends with 1 when a
 * reply was wrong, a request hung, or the server was left with something running or a warning.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { faultNames } from 'multimodal-chat/testing';
import { type Plan, plans } from './faults/plans.js';
import { type Bench, type Pace, runCase } from './faults/run-case.js';
import type { Report, Row } from './faults/summary.js';
import { startWorker } from './faults/worker.js';
import type { EmulatorCalls } from './faults-emulator.js';
import type { LoadCalls } from './faults-load.js';
import type { ServerCalls } from './faults-server.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    fault: { type: 'string' },
    mode: { type: 'string', default: 'share,all' },
    seed: { type: 'string', default: '1' },
    'slack-ms': { type: 'string' },
  },
});

const { quick } = options;
const seed = Number(options.seed);
const slackMs = Number(options['slack-ms'] ?? (quick ? 10_000 : 2_000));
const common = { quick, slackMs, seed };
const pace: Pace = quick
  ? { ...common, warmMs: 50, faultMs: 300, faultRequests: 5, afterMs: 50, recoveryMs: 15_000, inFlight: 3 }
  : {
      ...common,
      warmMs: 1_000,
      faultMs: 6_000,
      faultRequests: 30,
      afterMs: 1_000,
      recoveryMs: 30_000,
      inFlight: 16,
    };
/** Quick runs are not for measuring: while one case waits, others use the processor. */
const casesAtOnce = quick ? 12 : 1;

/** @throws Error when a fault has no plan, so that none is forgotten. */
function choosePlans(): readonly Plan[] {
  const known: ReadonlySet<string> = new Set(plans.map(({ fault }) => fault));
  const forgotten = faultNames.filter((name) => !known.has(name));
  if (forgotten.length > 0) throw new Error(`There is no plan for ${forgotten.join(', ')}.`);
  const wanted = options.fault?.split(',');
  const unknown = wanted?.filter((name) => !known.has(name)) ?? [];
  if (unknown.length > 0) throw new Error(`There is no fault ${unknown.join(', ')}.`);
  return wanted ? plans.filter(({ fault }) => wanted.includes(fault)) : plans;
}

async function openBench(directory: string): Promise<Bench> {
  const [emulator, server, load] = await Promise.all([
    startWorker<EmulatorCalls>('faults-emulator.ts'),
    startWorker<ServerCalls>('faults-server.ts', ['--expose-gc', '--trace-warnings']),
    startWorker<LoadCalls>('faults-load.ts'),
  ]);
  return { emulator, server, load, directory, serverUrl: await server.call('listen') };
}

async function runAll(bench: Bench): Promise<Row[]> {
  const modes = options.mode.split(',');
  const cases = choosePlans().flatMap((plan) =>
    (['share', 'all'] as const)
      .filter((mode) => modes.includes(mode) && !(plan.fault === 'none' && mode === 'all'))
      .map((mode) => ({ plan, mode })),
  );
  const rows: Row[] = [];
  const queue = cases.entries();
  const work = async () => {
    for (const [at, { plan, mode }] of queue) {
      const row = await runCase(bench, plan, mode, pace);
      process.stderr.write(`${JSON.stringify(row)}\n`);
      rows[at] = row;
    }
  };
  await Promise.all(Array.from({ length: casesAtOnce }, work));
  return rows;
}

async function measure(bench: Bench): Promise<Report> {
  const { server } = bench;
  const startedAt = Date.now();
  const [none] = plans;
  // The first requests load what is loaded lazily.
  if (none) await runCase(bench, none, 'share', pace);
  const before = await server.call('usage');
  const rows = await runAll(bench);
  const after = await server.call('usage');
  const warnings = await server.call('warnings');
  const sum = (field: keyof Report['totals']) => rows.reduce((total, row) => total + row[field], 0);
  return {
    node: process.version,
    quick,
    seconds: Math.round((Date.now() - startedAt) / 1000),
    totals: {
      requests: sum('requests'),
      right: sum('right'),
      wrong: sum('wrong'),
      hanging: sum('hanging'),
      leftInFlight: sum('leftInFlight'),
    },
    server: { before, after, warnings, errorOutput: server.errorOutput() },
    rows,
  };
}

const directory = await mkdtemp(join(tmpdir(), 'bench-faults-'));
const bench = await openBench(directory);
try {
  const report = await measure(bench);
  process.stdout.write(`${JSON.stringify(report, null, options.json ? undefined : 2)}\n`);
  const { totals, server } = report;
  const found = totals.wrong + totals.hanging + totals.leftInFlight + server.warnings.length;
  if (found > 0 || server.errorOutput !== '') process.exitCode = 1;
} finally {
  for (const worker of [bench.emulator, bench.server, bench.load]) worker.stop();
  await rm(directory, { recursive: true, force: true });
}
