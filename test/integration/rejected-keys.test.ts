import { type KeyPool, KeyPoolExhaustedError, MultimodalChat, ScheduledKeyPool } from 'multimodal-chat';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { VirtualClock } from 'multimodal-chat/testing';
import { createClient } from 'redis';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { GeminiEmulator } from '../../src/testing/gemini-emulator/gemini-emulator.js';
import { createStarter } from '../support/emulated-gemini.js';
import { startRedisServer } from '../support/redis-server.js';
import { standStill } from '../support/redis-time.js';

const server = await startRedisServer();
const client = createClient({ url: server?.url ?? '' });
if (server !== undefined) await client.connect();

const { start, closeAll } = createStarter();
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const part of closing.splice(0).reverse()) await part.close();
  await closeAll();
});
afterAll(async () => {
  if (client.isOpen) client.destroy();
  await server?.stop();
});

const keys = ['one', 'two', 'three'].map((project) => ({ key: `AIza-the-key-of-${project}-0001`, project }));
const projects = keys.map(({ key, project }) => ({ id: project, keys: [key] }));

const pools: Record<string, (clock: VirtualClock) => KeyPool> = {
  ScheduledKeyPool: (clock) => new ScheduledKeyPool({ keys, clock }),
  RedisKeyPool: (clock) =>
    new RedisKeyPool({ client: standStill(client, clock), clock, keys, failClosed: true, timeoutMs: 10_000 }),
};

/** A key that the emulator does not know is not valid. */
async function open(create: (clock: VirtualClock) => KeyPool) {
  const { emulator } = await start({ projects: [{ id: 'other', keys: ['another-key-0000001'] }] });
  const port = Number(new URL(emulator.url).port);
  const clock = new VirtualClock();
  const keyPool = create(clock);
  const chat = new MultimodalChat({ keyPool, memory: false, clock, baseUrl: emulator.url });
  closing.push(keyPool, chat);
  /** The error of a call, for which no time passes. */
  const refusal = async (): Promise<KeyPoolExhaustedError> => {
    const at = clock.now();
    const error = await chat.send({ prompt: 'Hello' }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(clock.now()).toBe(at);
    if (!KeyPoolExhaustedError.isInstance(error)) throw new Error(`not refused: ${String(error)}`);
    return error;
  };
  /** From now on the keys are valid. */
  const repair = async () => {
    await emulator.close();
    return (await start({ projects, port })).emulator;
  };
  return { chat, clock, emulator, refusal, repair };
}

const generated = (emulator: GeminiEmulator) =>
  emulator.journal.filter(({ operation }) => operation === 'generate').length;

describe.each(Object.entries(pools))('three rejected keys in a %s', (name, create) => {
  const needsRedis = name === 'RedisKeyPool';

  it.skipIf(needsRedis && server === undefined)(
    'fail the first call and the next hundred at once, with the reason and the time of the next try',
    async () => {
      const { emulator, refusal } = await open(create);
      const errors = [await refusal()];
      const tried = generated(emulator);
      errors.push(...(await Promise.all(Array.from({ length: 100 }, () => refusal()))));
      for (const { message, retryAfterMs } of errors) {
        expect(message).toMatch(/All 3 keys are rejected by Gemini: The API key is not valid/);
        expect(retryAfterMs).toBeGreaterThan(0);
        expect(retryAfterMs).toBeLessThanOrEqual(30_000);
      }
      expect(generated(emulator)).toBe(tried);
    },
  );

  it.skipIf(needsRedis && server === undefined)(
    'serve again once a probe has found that they work',
    async () => {
      const { chat, clock, refusal, repair } = await open(create);
      await refusal();
      const repaired = await repair();
      const recovered = new Promise<void>((resolve) => {
        chat.on('key', ({ type }) => {
          if (type === 'recovered') resolve();
        });
      });
      await clock.advance(25_000);
      await recovered;
      expect(generated(repaired)).toBe(0);
      expect((await chat.send({ prompt: 'Hello again' })).attempts).toHaveLength(1);
    },
  );
});
