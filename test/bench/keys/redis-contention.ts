import { quantile, rounded } from '../statistics.js';
import type { CallerReport, CallerTask } from './redis-caller.js';
import { ask, keysOf, withCallers } from './redis-callers.js';
import type { BenchProject } from './scenario.js';

const minuteMs = 60_000;
const callsPerSecond = 100;
/** What is asked for, as a part of what the limits admit. */
const load = 0.9;
const warmUpMs = 65_000;
const measuredMs = 30_000;
const patienceMs = 10_000;
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Processes that share one Redis and call one model, all together 100 times a second. Real time. */
export interface RedisContention {
  readonly processes: number;
  readonly callsPerSecond: number;
  /** Share of the calls that got a key within ten seconds. */
  readonly goodput: number;
  /** Calls beyond the limit of a project in any minute, which the service would have refused. */
  readonly overLimit: number;
  /** Requests to Redis a call, and the share of them that found that another process was faster. */
  readonly swapsPerCall: number;
  readonly lostSwapShare: number;
  readonly acquireP50Ms: number;
  readonly acquireP99Ms: number;
  readonly pingP50Ms: number;
  readonly pingP99Ms: number;
}

/** Nothing, loudly, where `redis-server` is not installed. */
export async function measureContention(
  projects: readonly BenchProject[],
  processes: number,
): Promise<RedisContention | undefined> {
  const total = sum(projects.map(({ limits }) => limits.rpm));
  const scale = (callsPerSecond * 60) / load / total;
  const limits = projects.map(({ id, limits: { rpm } }) => ({
    project: id,
    rpm: Math.round(rpm * scale),
    tpm: 1_000_000_000,
  }));
  const pool = { prefix: 'contention', keys: keysOf(projects), limits, maxInFlightPerProjectModel: 10_000 };
  const task: CallerTask = {
    callsPerSecond: callsPerSecond / processes,
    durationMs: warmUpMs,
    heldMs: 500,
    patienceMs,
  };
  return withCallers(processes, pool, async (children) => {
    const run = (durationMs: number) =>
      Promise.all(children.map((child) => ask(child, { ...task, durationMs })));
    const warmUp = await run(warmUpMs);
    const reports = await run(measuredMs);
    const all = (name: 'acquire' | 'ping') => reports.flatMap((report) => report[name]);
    const granted = sum(reports.map(({ grants }) => grants.length));
    const swaps = sum(reports.map((report) => report.swaps));
    return {
      processes,
      callsPerSecond,
      goodput: rounded(granted / (granted + sum(reports.map(({ refused }) => refused))), 4),
      overLimit: sum(limits.map((limit) => mostOver(limit, [...warmUp, ...reports]))),
      swapsPerCall: rounded(swaps / granted, 2),
      lostSwapShare: rounded(sum(reports.map(({ lostSwaps }) => lostSwaps)) / swaps, 4),
      acquireP50Ms: rounded(quantile(all('acquire'), 0.5)),
      acquireP99Ms: rounded(quantile(all('acquire'), 0.99)),
      pingP50Ms: rounded(quantile(all('ping'), 0.5)),
      pingP99Ms: rounded(quantile(all('ping'), 0.99)),
    };
  });
}

/** By how many calls the fullest minute of a project exceeded its limit. */
function mostOver(
  limit: { readonly project: string; readonly rpm: number },
  reports: readonly CallerReport[],
) {
  const times = reports
    .flatMap(({ grants }) => grants.filter(({ project }) => project === limit.project).map(({ at }) => at))
    .sort((a, b) => a - b);
  let first = 0;
  let most = 0;
  for (const [place, at] of times.entries()) {
    while ((times[first] ?? at) <= at - minuteMs) first += 1;
    most = Math.max(most, place - first + 1);
  }
  return Math.max(0, most - limit.rpm);
}
