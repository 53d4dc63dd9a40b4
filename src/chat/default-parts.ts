import { join } from 'node:path';
import { ConfigurationError } from '../core/errors.js';
import type { KeyPool } from '../keys/key-pool.js';
import { keysFromEnv } from '../keys/keys-from-env.js';
import { ScheduledKeyPool } from '../keys/scheduler/scheduled-key-pool.js';
import { DefaultMediaProcessor } from '../media/default-media-processor.js';
import type { MediaProcessor } from '../media/media-processor.js';
import { DiskMediaArchive } from '../memory/archive/disk-media-archive.js';
import { InProcessMediaArchive } from '../memory/archive/in-process-media-archive.js';
import { EmbeddedMemoryStore } from '../memory/embedded/embedded-memory-store.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { ChatModel } from '../model/chat-model.js';
import { defaultChatModel, defaultFallbackModels } from '../model/gemini/default-models.js';
import { GeminiModel } from '../model/gemini/gemini-model.js';
import { BackoffRetryPolicy } from '../retry/backoff-retry-policy.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import type { ResolvedOptions } from './parse-options.js';

/** The parts of one chat, and those of them that it made and so has to close. */
export interface ChatParts {
  readonly keyPool: KeyPool;
  readonly media: MediaProcessor;
  readonly memory: MemoryStore | undefined;
  readonly archive: MediaArchive | undefined;
  readonly retry: RetryPolicy;
  readonly model: ChatModel;
  readonly modelName: string;
  readonly owned: readonly { close(): Promise<void> }[];
}

/** Serves injected models, which need no key. */
const noKeyNeeded = 'no-key-needed';

function makeKeyPool(options: ResolvedOptions, modelIsInjected: boolean): KeyPool {
  const keys = options.keys ?? keysFromEnv();
  if (keys.length === 0 && !modelIsInjected) {
    throw new ConfigurationError(
      'No Gemini API key was found. Set GEMINI_API_KEY (or GEMINI_API_KEY_1, GEMINI_API_KEY_2, ...) in the environment, or pass `keys`.',
    );
  }
  return new ScheduledKeyPool({
    keys: keys.length > 0 ? keys : [noKeyNeeded],
    limits: options.limits,
    clock: options.clock,
  });
}

function makeArchive(
  { dataDir, mediaArchive, memory }: ResolvedOptions,
  own: <Part extends { close(): Promise<void> }>(part: Part) => Part,
): MediaArchive | undefined {
  if (mediaArchive === false || memory === false) return undefined;
  if (mediaArchive !== undefined && 'keep' in mediaArchive) return mediaArchive;
  return memory === ':memory:'
    ? own(new InProcessMediaArchive(mediaArchive))
    : own(new DiskMediaArchive({ directory: join(dataDir, 'media'), ...mediaArchive }));
}

/** Takes the parts that were injected and makes the others. */
export function makeParts(options: ResolvedOptions): ChatParts {
  const owned: { close(): Promise<void> }[] = [];
  const own = <Part extends { close(): Promise<void> }>(part: Part): Part => {
    owned.push(part);
    return part;
  };

  const injectedModel = typeof options.model === 'object' ? options.model : undefined;
  const keyPool = options.keyPool ?? own(makeKeyPool(options, injectedModel !== undefined));
  const model =
    injectedModel ??
    own(
      new GeminiModel({
        baseUrl: options.baseUrl,
        secrets: () => keyPool.secrets?.() ?? [],
        timeouts: {
          firstTokenMs: options.timeouts.firstTokenMs,
          betweenChunksMs: options.timeouts.betweenChunksMs,
          totalMs: options.timeouts.callMs,
        },
        clock: options.clock,
      }),
    );
  const retry =
    options.retry !== undefined && 'next' in options.retry
      ? options.retry
      : new BackoffRetryPolicy({
          ...options.retry,
          fallbackModels: options.fallbackModels ?? defaultFallbackModels,
        });
  const media =
    options.media !== undefined && 'prepare' in options.media
      ? options.media
      : own(new DefaultMediaProcessor(options.media));
  const memory =
    options.memory === false
      ? undefined
      : typeof options.memory === 'object'
        ? options.memory
        : own(
            new EmbeddedMemoryStore({
              path: options.memory ?? join(options.dataDir, 'memory.sqlite'),
              embedder: options.embedder,
            }),
          );
  const archive = makeArchive(options, own);
  const modelName =
    typeof options.model === 'string' ? options.model : process.env.GEMINI_MODEL?.trim() || defaultChatModel;
  return { keyPool, media, memory, archive, retry, model, modelName, owned };
}
