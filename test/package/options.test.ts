import {
  BackoffRetryPolicy,
  ConfigurationError,
  DefaultMediaProcessor,
  DiskMediaArchive,
  EmbeddedMemoryStore,
  GeminiEmbedder,
  GeminiModel,
  InProcessMediaArchive,
  MultimodalChat,
  ScheduledKeyPool,
  withOutbox,
} from 'multimodal-chat';
import { ChromaMemoryStore, startChromaServer } from 'multimodal-chat/chroma';
import { chatRouter } from 'multimodal-chat/express';
import { createHandler } from 'multimodal-chat/http';
import { RedisKeyPool } from 'multimodal-chat/redis';
import { FakeChatModel, GeminiEmulator } from 'multimodal-chat/testing';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { optionsSchema } from '../../src/chat/parse-options.js';
import { handlerOptionsSchema, routerOptionsSchema } from '../../src/http/handler-options.js';
import { redisKeyPoolOptionsSchema } from '../../src/keys/redis/redis-key-pool-options.js';
import { scheduledKeyPoolOptionsSchema } from '../../src/keys/scheduler/scheduled-key-pool-options.js';
import { mediaOptionsSchema } from '../../src/media/media-options.js';
import {
  diskMediaArchiveOptionsSchema,
  inProcessMediaArchiveOptionsSchema,
} from '../../src/memory/archive/media-archive-options.js';
import { chromaMemoryStoreOptionsSchema } from '../../src/memory/chroma/chroma-options.js';
import { chromaServerOptionsSchema } from '../../src/memory/chroma-server/chroma-server-options.js';
import { embeddedMemoryStoreOptionsSchema } from '../../src/memory/embedded/embedded-memory-store-options.js';
import { outboxOptionsSchema } from '../../src/memory/outbox/outbox-options.js';
import { geminiEmbedderOptionsSchema } from '../../src/model/gemini/gemini-embedder-options.js';
import { geminiModelOptionsSchema } from '../../src/model/gemini/gemini-model-options.js';
import { backoffRetryPolicyOptionsSchema } from '../../src/retry/backoff-retry-policy-options.js';
import { geminiEmulatorOptionsSchema } from '../../src/testing/gemini-emulator/options.js';

type Make = (options: never) => unknown;

const chat = new MultimodalChat({ model: new FakeChatModel(), memory: false });

const parts: readonly [name: string, schema: z.ZodType, make: Make][] = [
  ['MultimodalChat', optionsSchema, (options) => new MultimodalChat(options)],
  ['ScheduledKeyPool', scheduledKeyPoolOptionsSchema, (options) => new ScheduledKeyPool(options)],
  ['RedisKeyPool', redisKeyPoolOptionsSchema, (options) => new RedisKeyPool(options)],
  ['DefaultMediaProcessor', mediaOptionsSchema, (options) => new DefaultMediaProcessor(options)],
  ['EmbeddedMemoryStore', embeddedMemoryStoreOptionsSchema, (options) => new EmbeddedMemoryStore(options)],
  ['ChromaMemoryStore', chromaMemoryStoreOptionsSchema, (options) => new ChromaMemoryStore(options)],
  [
    'withOutbox',
    outboxOptionsSchema,
    (options) => withOutbox(new EmbeddedMemoryStore({ path: ':memory:' }), options),
  ],
  ['startChromaServer', chromaServerOptionsSchema, (options) => startChromaServer(options)],
  ['DiskMediaArchive', diskMediaArchiveOptionsSchema, (options) => new DiskMediaArchive(options)],
  [
    'InProcessMediaArchive',
    inProcessMediaArchiveOptionsSchema,
    (options) => new InProcessMediaArchive(options),
  ],
  ['GeminiModel', geminiModelOptionsSchema, (options) => new GeminiModel(options)],
  ['GeminiEmbedder', geminiEmbedderOptionsSchema, (options) => new GeminiEmbedder(options)],
  ['BackoffRetryPolicy', backoffRetryPolicyOptionsSchema, (options) => new BackoffRetryPolicy(options)],
  ['createHandler', handlerOptionsSchema, (options) => createHandler(chat, options)],
  ['chatRouter', routerOptionsSchema, (options) => chatRouter(chat, options)],
  ['GeminiEmulator', geminiEmulatorOptionsSchema, (options) => new GeminiEmulator(options)],
];

/** The names that a schema takes, through transforms and defaults. */
function namesOf(schema: z.ZodType): readonly string[] {
  const { def } = schema as unknown as { def: { shape?: object; in?: z.ZodType; innerType?: z.ZodType } };
  const inner = def.in ?? def.innerType;
  return def.shape ? Object.keys(def.shape) : inner ? namesOf(inner) : [];
}

async function thrownBy(make: Make, options: object): Promise<unknown> {
  try {
    await make(options as never);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** No option takes a symbol. */
const wrong = Symbol('wrong');

const cases = parts.flatMap(([part, schema, make]) => namesOf(schema).map((name) => ({ part, name, make })));

describe('the options of each part', () => {
  it.each(parts)('of %s have names', (_, schema) => {
    expect(namesOf(schema).length).toBeGreaterThan(0);
  });

  it.each(cases)('$part refuses a wrong value of `$name` and names it', async ({ make, name }) => {
    const error = await thrownBy(make, { [name]: wrong });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(String(error)).toContain(name);
  });

  it.each(cases)('$part refuses the misspelt `$name` and names it', async ({ make, name }) => {
    const misspelt = `${name}e`;
    const error = await thrownBy(make, { [misspelt]: undefined });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(String(error)).toContain(misspelt);
  });

  it.each<[string, Make, object, readonly string[]]>([
    [
      'DefaultMediaProcessor',
      (o) => new DefaultMediaProcessor(o),
      { frames: -3, detail: 'hihg' },
      ['frames', 'detail'],
    ],
    [
      'ScheduledKeyPool',
      (o) => new ScheduledKeyPool(o),
      { keys: ['k-0001'], limits: [{ rpm: -1 }], limit: 1 },
      ['limits.0.rpm', 'limit'],
    ],
    ['EmbeddedMemoryStore', (o) => new EmbeddedMemoryStore(o), { paht: 'x' }, ['paht']],
    [
      'MultimodalChat',
      (o) => new MultimodalChat(o),
      { context: { recentTurns: 1.5 }, retry: { maxAttempt: 3 } },
      ['context.recentTurns', 'maxAttempt'],
    ],
    ['MultimodalChat', (o) => new MultimodalChat(o), { media: { frames: 0 } }, ['media.frames']],
    ['MultimodalChat', (o) => new MultimodalChat(o), { mediaArchive: { maxByte: 1 } }, ['maxByte']],
    [
      'MultimodalChat',
      (o) => new MultimodalChat(o),
      { model: { stream: () => undefined } },
      ['model', 'ChatModel'],
    ],
  ])('of %s: all that is wrong is named at once', async (_, make, options, names) => {
    const error = await thrownBy(make, options);
    expect(error).toBeInstanceOf(ConfigurationError);
    for (const name of names) expect(String(error)).toContain(name);
  });
});
