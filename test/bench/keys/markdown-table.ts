import type { MedianRow } from './median-rows.js';

const head = [
  '| scenario | load | window | policy | goodput | 429s per success | added wait p50 / p99, s | user failures | calls per request |',
  '|---|---|---|---|---|---|---|---|---|',
];

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const seconds = (ms: number) => (ms / 1_000).toFixed(1);

/** The figures as `test/bench/README.md` shows them. */
export function markdownTable(rows: readonly MedianRow[]): string {
  const lines = rows.map((row) => {
    const { callsPerOfferedInFault: inFault } = row;
    const calls = `${row.callsPerOffered.toFixed(2)}${inFault === undefined ? '' : ` (${inFault.toFixed(2)} in the fault)`}`;
    const cells = [
      row.scenario,
      row.load,
      row.window,
      row.policy,
      percent(row.goodput),
      row.rejectionsPerSuccess.toFixed(4),
      `${seconds(row.waitP50)} / ${seconds(row.waitP99)}`,
      percent(row.userFailures),
      calls,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [...head, ...lines, ''].join('\n');
}
