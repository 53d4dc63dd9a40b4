import { median, quantile, rounded } from '../statistics.js';
import type { CallerReport, CallerTask } from './redis-caller.js';
import { ask, keysOf, withCallers } from './redis-callers.js';
import type { BenchProject } from './scenario.js';

const processes = 4;
/** From then on calls leave the minute while others come. */
const warmUpMs = 65_000;
const task: CallerTask = { callsPerSecond: 25, durationMs: 10_000, heldMs: 500 };

/** Real time, from `acquire` to the lease in hand, in processes that share one ledger; medians of the runs. */
export interface RedisLatency {
  readonly processes: number;
  readonly callsPerSecond: number;
  readonly acquireP50Ms: number;
  readonly acquireP99Ms: number;
  /** Of a bare `PING`, and of a script that does nothing, in the same runs. */
  readonly pingP50Ms: number;
  readonly pingP99Ms: number;
  readonly scriptP50Ms: number;
  readonly scriptP99Ms: number;
  readonly acquireToPingP99: number;
  readonly runs: readonly { readonly acquireP99Ms: number; readonly pingP99Ms: number }[];
}

/**
 * Calls that find a free key at once: what is measured is the ledger, not the wait for a quota.
 * Nothing, loudly, where `redis-server` is not installed.
 */
export async function measureRedisLatency(
  projects: readonly BenchProject[],
  runs: number,
): Promise<RedisLatency | undefined> {
  const pool = {
    prefix: 'latency',
    keys: keysOf(projects),
    limits: [{ rpm: 100_000, tpm: 100_000_000 }],
  };
  return withCallers(processes, pool, async (children) => {
    await Promise.all(children.map((child) => ask(child, { ...task, durationMs: warmUpMs })));
    const measured: ReturnType<typeof summarize>[] = [];
    for (let run = 0; run < runs; run += 1) {
      const reports = await Promise.all(children.map((child) => ask(child, task)));
      measured.push(summarize(reports));
    }
    const middle = (name: keyof ReturnType<typeof summarize>) =>
      rounded(median(measured.map((run) => run[name])));
    return {
      processes,
      callsPerSecond: processes * task.callsPerSecond,
      acquireP50Ms: middle('acquireP50Ms'),
      acquireP99Ms: middle('acquireP99Ms'),
      pingP50Ms: middle('pingP50Ms'),
      pingP99Ms: middle('pingP99Ms'),
      scriptP50Ms: middle('scriptP50Ms'),
      scriptP99Ms: middle('scriptP99Ms'),
      acquireToPingP99: rounded(median(measured.map((run) => run.acquireP99Ms / run.pingP99Ms)), 2),
      runs: measured.map(({ acquireP99Ms, pingP99Ms }) => ({
        acquireP99Ms: rounded(acquireP99Ms),
        pingP99Ms: rounded(pingP99Ms),
      })),
    };
  });
}

function summarize(reports: readonly CallerReport[]) {
  const all = (name: 'acquire' | 'ping' | 'script') => reports.flatMap((report) => report[name]);
  return {
    acquireP50Ms: quantile(all('acquire'), 0.5),
    acquireP99Ms: quantile(all('acquire'), 0.99),
    pingP50Ms: quantile(all('ping'), 0.5),
    pingP99Ms: quantile(all('ping'), 0.99),
    scriptP50Ms: quantile(all('script'), 0.5),
    scriptP99Ms: quantile(all('script'), 0.99),
  };
}
