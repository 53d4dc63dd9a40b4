import { Redis } from 'ioredis';
import { type RedisClient, RedisKeyPool } from 'multimodal-chat/redis';
import { keyPoolContract, type VirtualClock } from 'multimodal-chat/testing';
import { createClient } from 'redis';
import { afterAll, beforeEach, describe, it } from 'vitest';
import { startRedisServer } from '../support/redis-server.js';
import { standStill } from '../support/redis-time.js';

const server = await startRedisServer();
afterAll(() => server?.stop());

const clients = {
  'the package redis': () => createClient({ url: server?.url ?? '' }).connect(),
  'the package ioredis': async () => new Redis(server?.url ?? ''),
};

for (const [name, connect] of Object.entries(clients)) {
  describe.skipIf(server === undefined)(`RedisKeyPool over ${name}`, async () => {
    if (server === undefined) return;
    const client = await connect();
    afterAll(() => client.disconnect());
    beforeEach(async () => {
      await (client as { flushall?(): Promise<unknown> }).flushall?.();
      if ('flushAll' in client) await client.flushAll();
    });
    const create = ({
      keys,
      clock,
    }: {
      keys: readonly { key: string; project: string }[];
      clock: VirtualClock;
    }) =>
      new RedisKeyPool({
        client: standStill(client as RedisClient, clock),
        keys,
        clock,
        random: () => 0.5,
      });
    for (const { name: guarantee, run } of keyPoolContract(create)) it(guarantee, run);
  });
}
