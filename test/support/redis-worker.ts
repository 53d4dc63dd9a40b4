/**
 * One of several processes that share keys through Redis. Makes `calls` calls at once when its parent
 * sends `{ calls, timeoutMs }`, and replies with a report. Settings: REDIS_URL, EMULATOR_URL, POOL (JSON).
 */
import { KeyPoolExhaustedError, MultimodalChat } from 'multimodal-chat';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { createClient } from 'redis';

export interface WorkerReport {
  readonly answered: number;
  readonly exhausted: number;
  /** Messages of all other errors. */
  readonly others: readonly string[];
}

const client = createClient({ url: process.env.REDIS_URL ?? '' });
client.on('error', () => process.exit(2));
await client.connect();
const keyPool = new RedisKeyPool({
  ...JSON.parse(process.env.POOL ?? '{}'),
  client,
  failClosed: true,
  timeoutMs: 5_000,
});
const chat = new MultimodalChat({
  keyPool,
  baseUrl: process.env.EMULATOR_URL,
  memory: false,
  media: { concurrency: 1 },
  retry: { maxAttempts: 3 },
  fallbackModels: [],
});

process.on('message', async ({ calls, timeoutMs }: { calls: number; timeoutMs: number }) => {
  const ended = await Promise.allSettled(
    Array.from({ length: calls }, (_, n) => chat.send({ sessionId: `s${n}`, prompt: 'Hello.', timeoutMs })),
  );
  const errors = ended.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []));
  const report: WorkerReport = {
    answered: calls - errors.length,
    exhausted: errors.filter(KeyPoolExhaustedError.isInstance).length,
    others: errors.filter((error) => !KeyPoolExhaustedError.isInstance(error)).map(String),
  };
  process.send?.(report);
});
process.send?.('ready');
