/**
 * One of several processes that share one ledger. Calls for as long as its parent asks, and reports how
 * long each call took. Settings: REDIS_URL, POOL (JSON).
 */
import { createHash } from 'node:crypto';
import { createClient } from 'redis';
import { RedisKeyPool } from '../../../src/keys/redis/redis-key-pool.js';
import { exponential } from '../../support/seeded-random.js';
import { modelName } from './quota-model.js';

/** How many calls a second this process makes, for how long, and how long each keeps its key. */
export interface CallerTask {
  readonly callsPerSecond: number;
  readonly durationMs: number;
  readonly heldMs: number;
}

/** Milliseconds of every call. */
export interface CallerReport {
  readonly acquire: readonly number[];
  /** A `PING`, and a script that returns at once, on the same connection at other moments. */
  readonly ping: readonly number[];
  readonly script: readonly number[];
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
const keyPool = new RedisKeyPool({
  ...JSON.parse(process.env.POOL ?? '{}'),
  client,
  failClosed: true,
  timeoutMs: 10_000,
});
await client.scriptLoad(emptyScript);
const emptySha = createHash('sha1').update(emptyScript).digest('hex');

async function run({ callsPerSecond, durationMs, heldMs }: CallerTask): Promise<CallerReport> {
  const acquire: number[] = [];
  const ping: number[] = [];
  const script: number[] = [];
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
      const lease = await timed(acquire, () => keyPool.acquire({ model: modelName, estimatedTokens }));
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
  return { acquire, ping, script };
}

process.on('message', async (task: CallerTask) => {
  process.send?.(await run(task));
});
process.send?.('ready');
