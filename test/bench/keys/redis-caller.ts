/**
 * One of several processes that share one ledger. Calls for as long as its parent asks, and reports how
 * long each call took. Settings: REDIS_URL, POOL (JSON).
 */
import { createHash } from 'node:crypto';
import { createClient } from 'redis';
import { systemClock } from '../../../src/core/clock.js';
import { KeyPoolExhaustedError } from '../../../src/core/errors.js';
import { RedisKeyPool } from '../../../src/keys/redis/redis-key-pool.js';
import { exponential } from '../../support/seeded-random.js';
import { modelName } from './quota-model.js';

/** How many calls a second this process makes, for how long, and how long each keeps its key. */
export interface CallerTask {
  readonly callsPerSecond: number;
  readonly durationMs: number;
  readonly heldMs: number;
  /** How long a call waits for its key. Default: as long as the pool lets it. */
  readonly patienceMs?: number;
}

/** Milliseconds of every call. */
export interface CallerReport {
  readonly acquire: readonly number[];
  /** A `PING`, and a script that returns at once, on the same connection at other moments. */
  readonly ping: readonly number[];
  readonly script: readonly number[];
  /** When a key was granted, by the date, and of which project. */
  readonly grants: readonly { readonly at: number; readonly project: string }[];
  readonly refused: number;
  /** Requests that compare and set, and how many of them found that another process was faster. */
  readonly swaps: number;
  readonly lostSwaps: number;
}

/** Comparisons are made so much more rarely than calls, each. */
const comparedShare = 0.5;
const meanTokens = 1_000;
const emptyScript = 'return 1';

const client = createClient({ url: process.env.REDIS_URL ?? '' });
client.on('error', (error: Error) => {
  throw error;
});
await client.connect();
const swaps = { all: 0, lost: 0 };
const counted = new Proxy(client, {
  get(target, name) {
    const value: unknown = Reflect.get(target, name, target);
    if (typeof value !== 'function') return value;
    if (name !== 'evalSha') return value.bind(target);
    return async (...parameters: unknown[]) => {
      const reply = (await value.apply(target, parameters)) as unknown[];
      swaps.all += 1;
      if (reply[0] !== 1) swaps.lost += 1;
      return reply;
    };
  },
});
const keyPool = new RedisKeyPool({
  ...JSON.parse(process.env.POOL ?? '{}'),
  client: counted,
  failClosed: true,
  timeoutMs: 10_000,
});
await client.scriptLoad(emptyScript);
const emptySha = createHash('sha1').update(emptyScript).digest('hex');

async function run({ callsPerSecond, durationMs, heldMs, patienceMs }: CallerTask): Promise<CallerReport> {
  const acquire: number[] = [];
  const ping: number[] = [];
  const script: number[] = [];
  const grants: { at: number; project: string }[] = [];
  const before = { ...swaps };
  let refused = 0;
  const endsAt = performance.now() + durationMs;
  const repeat = async (perSecond: number, work: () => Promise<void>) => {
    const running = new Set<Promise<void>>();
    while (performance.now() < endsAt) {
      await new Promise((resolve) => setTimeout(resolve, exponential(Math.random, 1_000 / perSecond)));
      const one = work().finally(() => running.delete(one));
      running.add(one);
    }
    await Promise.all(running);
  };
  const timed = async <T>(samples: number[], work: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const result = await work();
    samples.push(performance.now() - startedAt);
    return result;
  };
  await Promise.all([
    repeat(callsPerSecond, async () => {
      const estimatedTokens = Math.ceil(exponential(Math.random, meanTokens));
      const deadline = patienceMs === undefined ? undefined : systemClock.now() + patienceMs;
      const asked = { model: modelName, estimatedTokens, deadline };
      const lease = await timed(acquire, () => keyPool.acquire(asked)).catch((error: unknown) => {
        if (!KeyPoolExhaustedError.isInstance(error)) throw error;
        refused += 1;
      });
      if (lease === undefined) return;
      grants.push({ at: Date.now(), project: lease.key.project });
      await new Promise((resolve) => setTimeout(resolve, exponential(Math.random, heldMs)));
      const inputTokens = Math.ceil(estimatedTokens * (0.8 + 0.4 * Math.random()));
      const usage = { inputTokens, outputTokens: 100, thoughtTokens: 0, totalTokens: inputTokens + 100 };
      lease.settle({ ok: true, usage });
    }),
    repeat(callsPerSecond * comparedShare, async () => {
      await timed(ping, () => client.ping());
    }),
    repeat(callsPerSecond * comparedShare, async () => {
      await timed(script, () => client.evalSha(emptySha, { keys: [], arguments: [] }));
    }),
  ]);
  const { all, lost } = swaps;
  return { acquire, ping, script, grants, refused, swaps: all - before.all, lostSwaps: lost - before.lost };
}

process.on('message', async (task: CallerTask) => {
  process.send?.(await run(task));
});
process.send?.('ready');
