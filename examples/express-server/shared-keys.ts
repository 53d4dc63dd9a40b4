import type { KeyPool, KeySpec } from 'multimodal-chat';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { createClient } from 'redis';
import type { Log } from './log.js';

/** A key pool that shares its quotas with every other server on the same Redis. */
export function openSharedKeyPool(
  redisUrl: string,
  keys: readonly KeySpec[],
  log: Log,
): { readonly keyPool: KeyPool; close(): Promise<void> } {
  const client = createClient({ url: redisUrl });
  // The client reconnects by itself; `onLedgerChange` below reports when the pool works without Redis.
  client.on('error', (error: Error) => log.debug(`Redis: ${error.message}`));
  client.connect().catch((error: Error) => log.debug(`Redis: ${error.message}`));
  const keyPool = new RedisKeyPool({
    client,
    keys,
    onLedgerChange: ({ mode, reason }) => {
      if (mode === 'shared') log.info('key quotas are shared through Redis');
      else
        log.warn(`key quotas are kept by this server alone until Redis answers: ${reason ?? 'not reached'}`);
    },
  });
  return {
    keyPool,
    async close() {
      await keyPool.close();
      client.destroy();
    },
  };
}
