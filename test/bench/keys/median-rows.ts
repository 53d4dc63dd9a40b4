import { median } from '../statistics.js';
import type { BenchRow } from './run-case.js';

const figures = [
  'goodput',
  'rejectionsPerSuccess',
  'waitP50',
  'waitP99',
  'userFailures',
  'callsPerOffered',
] as const;

export type MedianRow = Pick<
  BenchRow,
  'policy' | 'window' | 'load' | 'scenario' | 'callsPerOfferedInFault' | (typeof figures)[number]
>;

/** One row a policy, window, load and scenario: the medians over the seeds. */
export function medianRows(runs: readonly BenchRow[]): MedianRow[] {
  const groups = new Map<string, BenchRow[]>();
  for (const run of runs) {
    const name = [run.policy, run.window, run.load, run.scenario].join('\n');
    groups.set(name, [...(groups.get(name) ?? []), run]);
  }
  return [...groups.values()].flatMap((rows) => {
    const [first] = rows;
    if (first === undefined) return [];
    const { load, policy, scenario, window } = first;
    const medians = Object.fromEntries(figures.map((name) => [name, median(rows.map((row) => row[name]))]));
    const inFault = rows.flatMap(({ callsPerOfferedInFault }) => callsPerOfferedInFault ?? []);
    return [
      {
        policy,
        window,
        load,
        scenario,
        ...(medians as Record<(typeof figures)[number], number>),
        ...(inFault.length > 0 && { callsPerOfferedInFault: median(inFault) }),
      },
    ];
  });
}
