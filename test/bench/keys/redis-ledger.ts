import { createClient } from 'redis';
import type { KeyPool } from '../../../src/keys/key-pool.js';
import { RedisKeyPool } from '../../../src/keys/redis/redis-key-pool.js';
import type { ScheduledKeyPoolOptions } from '../../../src/keys/scheduler/scheduled-key-pool-options.js';
import type { VirtualClock } from '../../../src/testing/virtual-clock.js';
import { startRedisServer } from '../../support/redis-server.js';
import { standStill } from '../../support/redis-time.js';

/** A real Redis that lives by the virtual time, and the pools of several processes on it. */
export interface SharedLedger {
  openPool(options: ScheduledKeyPoolOptions): KeyPool;
  close(): Promise<void>;
}

/** Nothing, loudly, where `redis-server` is not installed. */
export async function openSharedLedger(clock: VirtualClock): Promise<SharedLedger | undefined> {
  const server = await startRedisServer();
  if (server === undefined) return undefined;
  const client = await createClient({ url: server.url }).connect();
  return {
    openPool: (options) =>
      new RedisKeyPool({ ...options, client: standStill(client, clock), failClosed: true }),
    async close() {
      client.destroy();
      await server.stop();
    },
  };
}
