import { startGeminiEmulator } from 'multimodal-chat/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { RedisServer } from '../support/redis-server.js';
import { startRedisServer } from '../support/redis-server.js';
import type { ServerProcess } from './server-process.js';
import { ask, makeServerDirectory, startServer } from './server-process.js';

// Every server is a process that compiles its TypeScript first.
vi.setConfig({ testTimeout: 90_000 });

async function serve(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const { path, remove } = await makeServerDirectory();
  onTestFinished(remove);
  const server = await startServer(path, env);
  onTestFinished(async () => void (await server.stop()));
  return server;
}

describe('servers with a REDIS_URL', () => {
  let redis: RedisServer | undefined;

  beforeAll(async () => {
    redis = await startRedisServer();
  });
  afterAll(() => redis?.stop());

  it('share the quota of their keys', async ({ skip }) => {
    if (redis === undefined) return skip('redis-server is not installed');
    const limits = { rpm: 6 };
    const emulator = await startGeminiEmulator({
      projects: [{ id: 'alpha', keys: ['shared-key-0001'], limits }],
    });
    onTestFinished(() => emulator.close());
    const env = {
      REDIS_URL: redis.url,
      GEMINI_API_KEY: 'shared-key-0001',
      GOOGLE_GEMINI_BASE_URL: emulator.url,
    };
    const servers = await Promise.all([serve(env), serve(env)]);
    const [first, second] = servers as [ServerProcess, ServerProcess];
    for (const server of [first, second, first, second, first, second]) await ask(server, 'Hi');
    expect(emulator.journal.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    const stats = (await (await fetch(`${second.url}/stats`)).json()) as { api_key_stats: object };
    expect(JSON.stringify(stats.api_key_stats)).toContain('"requests":6');
  });

  it('answer while Redis is down', async () => {
    const server = await serve({ REDIS_URL: 'redis://127.0.0.1:9' });
    expect(await ask(server, 'Still there?')).toContain('Still there?');
    await server.shows('key quotas are kept by this server alone until Redis answers');
  });
});
