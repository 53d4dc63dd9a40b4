import fc from 'fast-check';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everythingOf } from '../support/everything-shown.js';
import { leaksIn, openPlantedCalls, planting } from '../support/planted-call.js';
import { recordedReplies } from '../support/planted-replies.js';
import { startRedisServer } from '../support/redis-server.js';

const redis = await startRedisServer();
const runs = Math.ceil(Number(process.env.SECRETS_RUNS ?? 8) / 4);

describe.skipIf(redis === undefined)(
  'A key that the service writes into its reply, with a shared ledger',
  () => {
    const client = createClient({ url: redis?.url ?? '' });
    const listener = client.duplicate();
    const commands: string[] = [];
    let calls: Awaited<ReturnType<typeof openPlantedCalls>>;

    beforeAll(async () => {
      await Promise.all([client.connect(), listener.connect()]);
      await listener.monitor((command) => commands.push(String(command)));
      calls = await openPlantedCalls();
    });
    afterAll(async () => {
      await calls.close();
      listener.destroy();
      client.destroy();
      await redis?.stop();
    });

    const readers: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
      string: (name) => client.get(name),
      hash: (name) => client.hGetAll(name),
      list: (name) => client.lRange(name, 0, -1),
      set: (name) => client.sMembers(name),
      zset: (name) => client.zRangeWithScores(name, 0, -1),
    };

    /** Every name and every value in Redis. */
    async function everythingInRedis(): Promise<readonly string[]> {
      const found: string[] = [];
      for await (const names of client.scanIterator()) {
        for (const name of names) {
          const type = await client.type(name);
          const read = readers[type];
          if (!read) throw new Error(`This test cannot read the Redis type ${type} of ${name}.`);
          found.push(`${name} = ${everythingOf(await read(name))}`);
        }
      }
      return found;
    }

    it.each(recordedReplies.map(({ name }) => name))(
      'appears nowhere, Redis included: %s',
      { timeout: 120_000 },
      async (name) => {
        await fc.assert(
          fc.asyncProperty(planting, async (given) => {
            await client.flushAll();
            commands.length = 0;
            const changes: unknown[] = [];
            const onLedgerChange = (change: unknown) => void changes.push(change);
            const keyPool = new RedisKeyPool({
              client,
              keys: given.keys,
              failClosed: true,
              timeoutMs: 5000,
              onLedgerChange,
            });
            const shown = await calls.call(name, given, { keyPool });
            const stored = await everythingInRedis();
            await keyPool.close();
            expect(stored.length).toBeGreaterThan(0);
            expect(commands.some((command) => /eval/i.test(command))).toBe(true);
            const everywhere = {
              ...shown,
              Redis: stored.join('\n'),
              'the commands to Redis': commands.join('\n'),
              'changes of the ledger': everythingOf(changes),
            };
            expect(leaksIn(everywhere, given.keys)).toEqual([]);
          }),
          { numRuns: runs },
        );
      },
    );
  },
);
