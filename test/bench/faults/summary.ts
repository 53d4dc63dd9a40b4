import type { Ended } from '../faults-load.js';
import type { ServerUsage } from '../faults-server.js';
import { quantile, rounded } from '../statistics.js';
import type { Plan } from './plans.js';

/** What one fault did. Requests that the clients themselves hung up on are left out. */
export interface Row {
  readonly fault: string;
  /** What was struck: a part of the calls, or all of them for a time. */
  readonly struck: string;
  /** In the whole run, before and after the fault too. */
  readonly requests: number;
  readonly right: number;
  /** How many by status and code. */
  readonly errors: Readonly<Record<string, number>>;
  /** The first sentence of each. */
  readonly said: Readonly<Record<string, string>>;
  readonly wrong: number;
  /** Not complete when the server's own deadline, and some slack, had passed. */
  readonly hanging: number;
  /** Of requests that were begun while the fault struck, whatever came of them. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Share of right answers among these. */
  readonly rightInFault: number | null;
  /** Calls that reached the emulator while the fault struck, for each request that was begun then. */
  readonly callsPerRequest: number | null;
  /** From the end of the fault to the first right answer; a word where that takes longer than a run. */
  readonly recoveryMs: number | string | null;
  /** Requests that were begun after the fault and yet failed. */
  readonly failedAfter: number;
  /** What the server still took for running at the end. */
  readonly leftInFlight: number;
  /** Of the server, after the case and a garbage collection. */
  readonly rssMb: number;
  readonly heapMb: number;
  /** What was wrong, a few of each. */
  readonly examples: readonly string[];
}

/** What a whole run found. */
export interface Report {
  readonly node: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly totals: Readonly<Record<'requests' | 'right' | 'wrong' | 'hanging' | 'leftInFlight', number>>;
  readonly server: {
    readonly before: ServerUsage;
    readonly after: ServerUsage;
    /** Warnings of the process and rejections that nobody handled. */
    readonly warnings: readonly string[];
    readonly errorOutput: string;
  };
  readonly rows: readonly Row[];
}

export interface Measured {
  readonly plan: Plan;
  readonly mode: 'share' | 'all';
  readonly records: readonly Ended[];
  readonly struckAt: number;
  readonly clearedAt: number;
  readonly calls: number;
  readonly leftInFlight: number;
  readonly rssMb: number;
  readonly heapMb: number;
}

const shownExamples = 3;

function describeStrike({ plan, mode }: Measured): string {
  if (plan.fault === 'none') return 'nothing';
  if (mode === 'all') return 'all calls for a time';
  const { share } = plan;
  if (share.of === 'calls') return `${share.part * 100} % of calls`;
  if (share.of === 'time') return `${share.part * 100} % of the time`;
  return share.of === 'project' ? '1 of 4 projects' : 'first model';
}

function recovery({ plan, mode, records, clearedAt }: Measured): Row['recoveryMs'] {
  if (mode === 'share' || plan.fault === 'none') return null;
  if (plan.heldOut !== undefined) return plan.heldOut;
  const ends = records.filter(({ type, endedAt }) => type === 'right' && endedAt >= clearedAt);
  if (ends.length === 0) return 'never';
  return Math.min(...ends.map(({ endedAt }) => endedAt)) - clearedAt;
}

export function summarize(measured: Measured): Row {
  const { plan, struckAt, clearedAt, calls, leftInFlight, rssMb, heapMb } = measured;
  const records = measured.records.filter(({ type }) => type !== 'left');
  const struck = records.filter(({ startedAt }) => startedAt >= struckAt && startedAt < clearedAt);
  // Calls of those who hang up count too, so that their requests must.
  const begun = measured.records.filter(({ startedAt }) => startedAt >= struckAt && startedAt < clearedAt);
  const latencies = struck.map(({ startedAt, endedAt }) => endedAt - startedAt);
  const of = (type: Ended['type']) => records.filter((record) => record.type === type);
  const errors: Record<string, number> = {};
  const said: Record<string, string> = {};
  for (const { label, message = '' } of of('error')) {
    errors[label] = (errors[label] ?? 0) + 1;
    said[label] ??= message;
  }
  const unwanted = [...of('wrong'), ...of('hanging')];
  const share = (part: number, whole: number) => (whole === 0 ? null : rounded(part / whole));
  return {
    fault: plan.fault,
    struck: describeStrike(measured),
    requests: records.length,
    right: of('right').length,
    errors,
    said,
    wrong: of('wrong').length,
    hanging: of('hanging').length,
    p50Ms: latencies.length === 0 ? null : Math.round(quantile(latencies, 0.5)),
    p99Ms: latencies.length === 0 ? null : Math.round(quantile(latencies, 0.99)),
    rightInFault: share(struck.filter(({ type }) => type === 'right').length, struck.length),
    callsPerRequest: share(calls, begun.length),
    recoveryMs: recovery(measured),
    failedAfter: records.filter(({ type, startedAt }) => type !== 'right' && startedAt >= clearedAt).length,
    leftInFlight,
    rssMb,
    heapMb,
    examples: [...new Set(unwanted.map(({ type, label }) => `${type}: ${label}`))].slice(0, shownExamples),
  };
}
