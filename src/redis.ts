/** Quotas that several processes share through Redis. Needs a client: the package `redis` or `ioredis`. */
export type { IoRedisClient, NodeRedisClient, RedisClient } from './keys/redis/redis-client.js';
export { RedisKeyPool } from './keys/redis/redis-key-pool.js';
export type { LedgerChange, RedisKeyPoolOptions } from './keys/redis/redis-key-pool-options.js';
