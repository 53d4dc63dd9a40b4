import { z } from 'zod';
import type { Clock } from './clock.js';
import { systemClock } from './clock.js';
import { ConfigurationError, InvalidInputError } from './errors.js';
import type { KeyPool } from './keys/key-pool.js';
import type { MediaProcessor } from './media/media-processor.js';
import type { Embedder } from './memory/embedder.js';
import type { MemoryStore } from './memory/memory-store.js';
import type { ChatModel, GenerationOptions } from './model/chat-model.js';
import type { RetryPolicy } from './retry/retry-policy.js';
import type { MediaSource } from './types.js';

/** An object that has the methods of one of the pluggable parts. */
const partWith = <T>(role: string, ...methods: readonly string[]) =>
  z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
    `must be a ${role}: an object with ${methods.map((method) => `${method}()`).join(', ')}`,
  );

const count = z.number().int().min(0);
const atLeastOne = z.number().int().min(1);
const durationMs = z.number().positive();
const name = z.string().trim().min(1);

const limitsSchema = z.strictObject({
  rpm: count.optional(),
  tpm: count.optional(),
  rpd: count.optional(),
});

const generationSchema = z.strictObject({
  maxOutputTokens: atLeastOne.optional(),
  stopSequences: z.array(z.string().min(1)).readonly().optional(),
  thinkingLevel: z.enum(['low', 'medium', 'high']).optional(),
  includeThoughts: z.boolean().optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  topK: atLeastOne.optional(),
  responseMimeType: z.string().optional(),
  responseJsonSchema: z.unknown().optional(),
  safetySettings: z
    .array(z.strictObject({ category: z.string(), threshold: z.string() }))
    .readonly()
    .optional(),
});

const timeoutsSchema = z.strictObject({
  /** Until the first piece of an answer, each attempt. A thinking model may be silent for long. */
  firstTokenMs: durationMs.default(90_000),
  /** Between two pieces of an answer. */
  betweenChunksMs: durationMs.default(60_000),
  /** The whole call: media, waiting for a key, every attempt. */
  callMs: durationMs.default(300_000),
});

const contextSchema = z.strictObject({
  /** Tokens of recent turns that are sent verbatim. The latest turn is always sent whole. */
  recentTokens: count.default(12_000),
  /** At most this many recent turns are looked at. */
  recentTurns: count.default(40),
  /** Tokens of older turns that were found by meaning. */
  recallTokens: count.default(4_000),
  /** At most this many turns are recalled; 0 turns recall off. */
  recallTurns: count.default(20),
});

const retrySchema = z.strictObject({
  maxAttempts: atLeastOne.optional(),
  baseDelayMs: durationMs.optional(),
  maxDelayMs: durationMs.optional(),
  whenVisible: z.enum(['restart', 'fail']).optional(),
});

const mediaSchema = z.strictObject({
  frames: atLeastOne.max(256).optional(),
  maxSide: z.number().int().min(16).max(8192).optional(),
  quality: z.number().int().min(1).max(100).optional(),
  accuracy: z.enum(['auto', 'exact']).optional(),
  audio: z.boolean().optional(),
  ffmpegPath: name.optional(),
  allowUrls: z.boolean().optional(),
  allowPaths: z.boolean().optional(),
  maxBytes: atLeastOne.optional(),
  maxPixels: atLeastOne.optional(),
  maxDurationMs: durationMs.optional(),
  timeoutMs: durationMs.optional(),
  concurrency: atLeastOne.optional(),
  tempDir: name.optional(),
});

const optionsSchema = z.strictObject({
  keys: z
    .array(z.union([name, z.strictObject({ key: name, project: name.optional() })]))
    .readonly()
    .optional(),
  limits: z.record(z.string(), limitsSchema).optional(),
  keyPool: partWith<KeyPool>('KeyPool', 'acquire', 'stats', 'close').optional(),
  model: z.union([name, partWith<ChatModel>('ChatModel', 'stream')]).optional(),
  fallbackModels: z.array(name).readonly().optional(),
  retry: z.union([retrySchema, partWith<RetryPolicy>('RetryPolicy', 'next')]).optional(),
  memory: z
    .union([
      z.literal(false),
      z.literal(':memory:'),
      partWith<MemoryStore>('MemoryStore', 'append', 'recent', 'recall', 'forget', 'stats', 'flush', 'close'),
    ])
    .optional(),
  embedder: partWith<Embedder>('Embedder', 'embed').optional(),
  media: z.union([mediaSchema, partWith<MediaProcessor>('MediaProcessor', 'prepare', 'close')]).optional(),
  dataDir: name.default('./.multimodal-chat'),
  baseUrl: z.url().optional(),
  systemInstruction: z.string().optional(),
  generation: generationSchema.default({}),
  timeouts: timeoutsSchema.prefault({}),
  context: contextSchema.prefault({}),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(() => systemClock),
});

const requestSchema = z.strictObject({
  prompt: z.string().refine((text) => text.trim() !== '', 'must not be empty'),
  sessionId: z.string().min(1).optional(),
  tenant: z.string().min(1).default('default'),
  turnId: z.string().min(1).optional(),
  media: z.array(z.custom<MediaSource>((value) => value !== undefined && value !== null)).default([]),
  model: name.optional(),
  systemInstruction: z.string().optional(),
  generation: generationSchema.optional(),
  priority: z.enum(['interactive', 'batch']).default('interactive'),
  timeoutMs: durationMs.optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

/** Quota of a project for one model. Absent figures are learned from Gemini's refusals. */
export interface QuotaLimits {
  /** Requests a minute. */
  readonly rpm?: number | undefined;
  /** Input tokens a minute. */
  readonly tpm?: number | undefined;
  /** Requests a day, counted from midnight in Los Angeles. */
  readonly rpd?: number | undefined;
}

/** What `new MultimodalChat()` takes. Everything has a default. */
export interface MultimodalChatOptions {
  /** Gemini API keys; say which share a Google Cloud project, since quotas are per project. Default: `GEMINI_API_KEY` and `GEMINI_API_KEY_*` of the environment. */
  readonly keys?: readonly (string | { readonly key: string; readonly project?: string | undefined })[] | undefined;
  /** Known quotas per model name, the same for every project. Default: learned. */
  readonly limits?: Readonly<Record<string, QuotaLimits>> | undefined;
  /** A key pool of your own, instead of `keys` and `limits`. You close it. */
  readonly keyPool?: KeyPool | undefined;
  /** A model's name (default: `GEMINI_MODEL`, else `gemini-3.8-flash`), or a `ChatModel` of your own. */
  readonly model?: string | ChatModel | undefined;
  /** Models to fall back on, in order, when the first cannot serve. Default `['gemini-3.5-flash-lite']`. */
  readonly fallbackModels?: readonly string[] | undefined;
  /** Back-off settings, or a `RetryPolicy` of your own. */
  readonly retry?:
    | {
        /** Attempts at one model that count. Default 5. */
        readonly maxAttempts?: number | undefined;
        readonly baseDelayMs?: number | undefined;
        readonly maxDelayMs?: number | undefined;
        /** What to do when an answer breaks off after part of it was shown. Default `restart`. */
        readonly whenVisible?: 'restart' | 'fail' | undefined;
      }
    | RetryPolicy
    | undefined;
  /** `false` forgets everything, `':memory:'` keeps turns in the process, or a `MemoryStore` of your own, which you close. Default: a file under `dataDir`. */
  readonly memory?: false | ':memory:' | MemoryStore | undefined;
  /** Lets the default store recall by meaning as well as by words. Default: none. */
  readonly embedder?: Embedder | undefined;
  /** Settings of the default media processor, or a `MediaProcessor` of your own, which you close. */
  readonly media?: MediaOptions | MediaProcessor | undefined;
  /** Where data is kept; made on the first write. Default `./.multimodal-chat`. */
  readonly dataDir?: string | undefined;
  /** Where Gemini is. Default: `GOOGLE_GEMINI_BASE_URL`, else Google's. */
  readonly baseUrl?: string | undefined;
  /** What the model is told about its role, in every call. */
  readonly systemInstruction?: string | undefined;
  readonly generation?: GenerationOptions | undefined;
  readonly timeouts?:
    | {
        /** Until the first piece of an answer, each attempt. Default 90 000. */
        readonly firstTokenMs?: number | undefined;
        /** Between two pieces of an answer. Default 60 000. */
        readonly betweenChunksMs?: number | undefined;
        /** The whole call: media, waiting for a key, every attempt. Default 300 000. */
        readonly callMs?: number | undefined;
      }
    | undefined;
  readonly context?:
    | {
        /** Tokens of recent turns that are sent verbatim; the latest turn always is. Default 12 000. */
        readonly recentTokens?: number | undefined;
        /** At most this many recent turns are looked at. Default 40. */
        readonly recentTurns?: number | undefined;
        /** Tokens of older turns that were found by meaning. Default 4 000. */
        readonly recallTokens?: number | undefined;
        /** At most this many turns are recalled; 0 turns recall off. Default 20. */
        readonly recallTurns?: number | undefined;
      }
    | undefined;
  /** For tests: a clock to run in virtual time. */
  readonly clock?: Clock | undefined;
}

/** Settings of the default media processor. */
export interface MediaOptions {
  /** Frames taken from a clip. Default 8. */
  readonly frames?: number | undefined;
  /** Longest side of a picture or frame, in pixels. Default 768. */
  readonly maxSide?: number | undefined;
  /** JPEG quality, 1 to 100. Default 75. */
  readonly quality?: number | undefined;
  /** `auto` takes nearby keyframes where that is close enough; `exact` never. Default `auto`. */
  readonly accuracy?: 'auto' | 'exact' | undefined;
  /** Whether a clip's sound goes along. Default `true`. */
  readonly audio?: boolean | undefined;
  readonly ffmpegPath?: string | undefined;
  /** Whether http(s) URLs are fetched. Default `false`. */
  readonly allowUrls?: boolean | undefined;
  /** Whether strings are read as file paths. Default `true`. */
  readonly allowPaths?: boolean | undefined;
  readonly maxBytes?: number | undefined;
  readonly maxPixels?: number | undefined;
  readonly maxDurationMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
  /** Attachments decoded at the same time in this process. */
  readonly concurrency?: number | undefined;
  readonly tempDir?: string | undefined;
}

/** One question to the model. */
export interface ChatRequest {
  readonly prompt: string;
  /** The conversation that this turn belongs to. Default: a new one. */
  readonly sessionId?: string | undefined;
  /** Whose conversation; nothing is read across tenants. Default `default`. */
  readonly tenant?: string | undefined;
  /** Id of this turn; sending the same one again stores nothing twice. Default: a new one. */
  readonly turnId?: string | undefined;
  /** Pictures, clips, recordings and documents: paths, URLs, bytes, blobs or streams. */
  readonly media?: readonly MediaSource[] | undefined;
  /** The model's name for this call. */
  readonly model?: string | undefined;
  readonly systemInstruction?: string | undefined;
  /** Over the generation options of the chat. */
  readonly generation?: GenerationOptions | undefined;
  /** Interactive calls get keys before batch calls. Default `interactive`. */
  readonly priority?: 'interactive' | 'batch' | undefined;
  /** Over `timeouts.callMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type ResolvedOptions = z.output<typeof optionsSchema>;
export type ResolvedRequest = z.output<typeof requestSchema>;

function explain(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length > 0 ? `\`${issue.path.join('.')}\`: ${issue.message}` : issue.message))
    .join('; ');
}

/** @throws ConfigurationError that names every option that is wrong. */
export function resolveOptions(options: MultimodalChatOptions): ResolvedOptions {
  const result = optionsSchema.safeParse(options);
  if (!result.success) throw new ConfigurationError(`These options are not valid: ${explain(result.error)}.`);
  return result.data;
}

/** @throws InvalidInputError that names every field that is wrong. */
export function resolveRequest(request: ChatRequest): ResolvedRequest {
  const result = requestSchema.safeParse(request);
  if (!result.success) throw new InvalidInputError(`The request is not valid: ${explain(result.error)}.`);
  return result.data;
}
