import { KeyPoolExhaustedError, systemClock } from 'multimodal-chat';
import { type RedisClient, RedisKeyPool } from 'multimodal-chat/redis';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';

const server = await startRedisServer();
const client = createClient({ url: server?.url ?? '' });
if (server !== undefined) await client.connect();
afterAll(async () => {
  if (client.isOpen) client.destroy();
  await server?.stop();
});

const dayMs = 86_400_000;
const request = { model: 'gemini-3.8-flash', estimatedTokens: 10 };

/** By how much the clock of Redis was set. */
let setByMs = 0;

/** The client of a Redis whose clock somebody sets. */
const clientOfSetClock: RedisClient = new Proxy(client, {
  get(target, name) {
    const value: unknown = Reflect.get(target, name, target);
    if (typeof value !== 'function') return value;
    if (name !== 'evalSha' && name !== 'eval') return value.bind(target);
    return async (...parameters: unknown[]) => {
      const [isSet, time, ...rest] = await value.apply(target, parameters);
      return [isSet, Number(time) + setByMs, ...rest];
    };
  },
});

const open: RedisKeyPool[] = [];
function createPool(): RedisKeyPool {
  const pool = new RedisKeyPool({
    client: clientOfSetClock,
    keys: ['the-only-key-0001'],
    limits: [{ rpm: 1 }],
    failClosed: true,
    timeoutMs: 5_000,
  });
  open.push(pool);
  return pool;
}

async function retryAfterMs(pool: RedisKeyPool): Promise<number> {
  const refused = await pool.acquire({ ...request, deadline: systemClock.now() + 1_000 }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return KeyPoolExhaustedError.isInstance(refused) ? (refused.retryAfterMs ?? 0) : -1;
}

describe.skipIf(server === undefined)('RedisKeyPool, when the clock of Redis is set', () => {
  beforeEach(async () => {
    setByMs = 0;
    await client.flushAll();
  });
  afterEach(() => Promise.all(open.splice(0).map((pool) => pool.close())));

  it.each([-dayMs, dayMs])('keeps to the minute of a quota, by %i ms', async (jumpMs) => {
    const first = createPool();
    await first.acquire(request);
    setByMs = jumpMs;
    for (const pool of [first, createPool()]) {
      const waitMs = await retryAfterMs(pool);
      expect(waitMs).toBeGreaterThan(10_000);
      expect(waitMs).toBeLessThan(62_000);
      // As the heartbeat does, which tells the others of the set clock.
      await pool.stats();
    }
  });

  it('does not keep calls out for as long as it was set back, after all processes have ended', async () => {
    const first = createPool();
    await first.acquire(request);
    await first.close();
    setByMs = -dayMs;
    expect(await retryAfterMs(createPool())).toBeLessThan(62_000);
  });
});
