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
import { defaultChatModel } from '../model/gemini/default-models.js';
import { GeminiModel } from '../model/gemini/gemini-model.js';
import { BackoffRetryPolicy } from '../retry/backoff-retry-policy.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import { ModelRoutes } from '../turn/model-routes.js';
import type { TurnDeps } from '../turn/turn-deps.js';
import type { ResolvedOptions } from './parse-options.js';
import { UnknownModels } from './unknown-models.js';

/** The parts of one chat, and those of them that it made and so has to close. */
export interface ChatDeps extends Omit<TurnDeps, 'events' | 'memoryHealth' | 'plainHistory' | 'settings'> {
  readonly owned: readonly { close(): Promise<void> }[];
}

type Own = <Part extends { close(): Promise<void> }>(part: Part) => Part;

/** Takes the parts that were injected and makes the others. */
export function makeChatDeps(options: ResolvedOptions): ChatDeps {
  const owned: { close(): Promise<void> }[] = [];
  const own: Own = (part) => {
    owned.push(part);
    return part;
  };
  const models = makeModels(options, own, () => keyPool?.secrets?.() ?? []);
  const keyPool = options.keyPool ?? (models.needKeys ? own(makeKeyPool(options)) : undefined);
  if (models.main.model.probe !== undefined) {
    const withdraw = keyPool?.useProbe?.(async ({ key, project, model }, { signal }) =>
      models.get(model).model.probe?.(model, { apiKey: key, project, signal }),
    );
    if (withdraw !== undefined) owned.unshift({ close: async () => withdraw() });
  }
  return {
    keyPool,
    models,
    retry: makeRetryPolicy(options, models),
    media: makeMediaProcessor(options, own),
    memory: makeMemory(options, own),
    archive: makeArchive(options, own),
    owned,
  };
}

function makeMediaProcessor({ media }: ResolvedOptions, own: Own): MediaProcessor {
  return media !== undefined && 'prepare' in media ? media : own(new DefaultMediaProcessor(media));
}

function makeModels(options: ResolvedOptions, own: Own, secrets: () => readonly string[]): ModelRoutes {
  const { apiVersion, baseUrl, clock, fallbackModels = [], fetch, headers, timeouts } = options;
  const model: ChatModel =
    typeof options.model === 'object'
      ? options.model
      : own(
          new GeminiModel({
            model: options.model,
            baseUrl,
            apiVersion,
            headers,
            fetch,
            secrets,
            // A request may have a longer `timeoutMs` than `callMs`: the turn keeps the limit of the call.
            timeouts: {
              firstTokenMs: timeouts.firstTokenMs,
              betweenChunksMs: timeouts.betweenChunksMs,
              totalMs: Number.MAX_SAFE_INTEGER,
            },
            clock,
          }),
        );
  const others = fallbackModels.filter((fallback) => typeof fallback === 'object');
  return new ModelRoutes(
    { name: model.models.default, model },
    others.map((other) => ({ name: other.models.default, model: other })),
  );
}

function makeRetryPolicy({ fallbackModels, retry }: ResolvedOptions, models: ModelRoutes): RetryPolicy {
  if (retry !== undefined && 'next' in retry) return retry;
  const names = fallbackModels?.map((each) => (typeof each === 'string' ? each : each.models.default));
  const { default: name, fallbacks = [] } = models.main.model.models;
  const policy = new BackoffRetryPolicy({
    ...retry,
    fallbackModels: names ?? fallbacks.filter((fallback) => fallback !== name),
  });
  return new UnknownModels(policy, (model) => names !== undefined || model === defaultChatModel);
}

function makeKeyPool({ clock, keys = keysFromEnv(), limits }: ResolvedOptions): KeyPool {
  return keys.length === 0 ? noKeys : new ScheduledKeyPool({ keys, limits, clock });
}

/** Refuses each call, and not the chat: builds and tests of an app make one where there is no key. */
const noKeys: KeyPool = {
  acquire: async () => {
    throw new ConfigurationError(
      'No Gemini API key was found. Set GEMINI_API_KEY (or GEMINI_API_KEY_1, GEMINI_API_KEY_2, ...) in the environment before the chat is made, or pass `keys`.',
    );
  },
  stats: async () => ({ keys: [], allRejected: true, queued: 0, inFlight: 0 }),
  close: async () => undefined,
};

function makeMemory({ dataDir, embedder, memory }: ResolvedOptions, own: Own): MemoryStore | undefined {
  if (memory === false) return undefined;
  if (typeof memory === 'object') return memory;
  return own(new EmbeddedMemoryStore({ path: memory ?? join(dataDir, 'memory.sqlite'), embedder }));
}

function makeArchive({ dataDir, mediaArchive, memory }: ResolvedOptions, own: Own): MediaArchive | undefined {
  if (mediaArchive === false || memory === false) return undefined;
  if (mediaArchive !== undefined && 'keep' in mediaArchive) return mediaArchive;
  return memory === ':memory:'
    ? own(new InProcessMediaArchive(mediaArchive))
    : own(new DiskMediaArchive({ directory: join(dataDir, 'media'), ...mediaArchive }));
}
