import { join } from 'node:path';
import type { EmulatorCalls } from '../faults-emulator.js';
import type { LoadCalls } from '../faults-load.js';
import type { ServerCalls } from '../faults-server.js';
import { limitsOf, type Plan } from './plans.js';
import { type Row, summarize } from './summary.js';
import type { Worker } from './worker.js';

export interface Bench {
  readonly emulator: Worker<EmulatorCalls>;
  readonly server: Worker<ServerCalls>;
  readonly load: Worker<LoadCalls>;
  readonly serverUrl: string;
  readonly directory: string;
}

export interface Pace {
  readonly quick: boolean;
  /** Of normal traffic, before all calls are struck. */
  readonly warmMs: number;
  /** How long the fault strikes, at least. */
  readonly faultMs: number;
  /** So many requests at least are begun and ended under the fault. */
  readonly faultRequests: number;
  /** Of normal traffic, after the first right answer. */
  readonly afterMs: number;
  /** How long is waited for the first right answer after the fault. */
  readonly recoveryMs: number;
  readonly inFlight: number;
  /** A request that takes so much longer than the server allows it hangs. */
  readonly slackMs: number;
  readonly seed: number;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Requests that the server still believes to be running, once it has had time to notice. */
async function inFlightAt(url: string): Promise<number> {
  const patienceMs = 5_000;
  for (const startedAt = Date.now(); ; await sleep(50)) {
    const stats = (await (await fetch(`${url}/stats`)).json()) as {
      in_flight: number;
      queued: number;
      calls: { in_flight: number };
      api_key_stats: Readonly<Record<string, { in_flight: number }>>;
    };
    const ofKeys = Object.values(stats.api_key_stats).reduce((sum, key) => sum + key.in_flight, 0);
    const inFlight = stats.in_flight + stats.queued + stats.calls.in_flight + ofKeys;
    if (inFlight === 0 || Date.now() - startedAt > patienceMs) return inFlight;
  }
}

/** One fault under load, for a part of the calls or for all of them during a part of the run. */
export async function runCase(bench: Bench, plan: Plan, mode: 'share' | 'all', pace: Pace): Promise<Row> {
  const { emulator, server, load } = bench;
  const { fault } = plan;
  const id = `${fault}-${mode}`;
  const limits = limitsOf(plan, pace.quick);
  const baseUrl = await emulator.call('open', id);
  await server.call('open', { id, baseUrl, dataDir: join(bench.directory, id), limits });
  const url = `${bench.serverUrl}/${id}`;
  const inFlight = plan.inFlight ?? pace.inFlight;
  const limitMs = limits.callMs + pace.slackMs;
  await load.call('start', { id, url, plan, inFlight, limitMs });

  const isShare = mode === 'share';
  if (!isShare) {
    await load.call('answered', { id, since: 0, withinMs: limitMs });
    await sleep(pace.warmMs);
  }
  const callsBefore = await emulator.call('received', id);
  const settings = (isShare ? plan.mild : plan.hard) ?? {};
  await emulator.call('strike', {
    id,
    fault,
    share: isShare ? plan.share : undefined,
    settings,
    seed: pace.seed,
  });
  const struckAt = Date.now();
  await sleep(pace.faultMs);
  // Ten megabytes take their time: a request of each client is enough.
  const count = plan.form === 'big' ? inFlight : pace.faultRequests;
  await load.call('ended', { id, since: struckAt, count, withinMs: limitMs });
  const callsAfter = await emulator.call('received', id);
  await emulator.call('clear', id);
  const clearedAt = Date.now();
  if (!isShare && plan.heldOut === undefined) {
    await load.call('answered', { id, since: clearedAt, withinMs: pace.recoveryMs });
    await sleep(pace.afterMs);
  }
  const records = await load.call('stop', id);
  const leftInFlight = await inFlightAt(url);
  await server.call('close', id);
  await emulator.call('close', id);
  const { rssMb, heapMb } = await server.call('usage');
  const calls = callsAfter - callsBefore;
  return summarize({ plan, mode, records, struckAt, clearedAt, calls, leftInFlight, rssMb, heapMb });
}
