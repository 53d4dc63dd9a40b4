import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { systemClock } from '../core/clock.js';
import { ConfigurationError, InvalidInputError } from '../core/errors.js';
import type { MediaSource } from '../core/media.js';
import {
  atLeastOne,
  count,
  describeIssues,
  durationMs,
  nonBlank,
  parseOptions,
  partWith,
} from '../core/parse-options.js';
import type { KeyPool } from '../keys/key-pool.js';
import { mediaOptionsSchema } from '../media/media-options.js';
import type { MediaProcessor } from '../media/media-processor.js';
import type { Embedder } from '../memory/embedder.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { ChatModel, ThinkingLevel } from '../model/chat-model.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import type { ChatRequest, MultimodalChatOptions } from './chat-options.js';
import { findConflict } from './option-conflicts.js';

const limitRuleSchema = z.strictObject({
  project: nonBlank.optional(),
  model: nonBlank.optional(),
  rpm: count.optional(),
  tpm: count.optional(),
  rpd: count.optional(),
});

const generationSchema = z.strictObject({
  maxOutputTokens: atLeastOne.optional(),
  stopSequences: z.array(z.string().min(1)).readonly().optional(),
  thinkingLevel: z
    .enum(['minimal', 'low', 'medium', 'high', 'xhigh'] satisfies readonly ThinkingLevel[])
    .optional(),
  includeThoughts: z.boolean().optional(),
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  topK: atLeastOne.optional(),
  responseMimeType: z.string().optional(),
  responseJsonSchema: z.unknown().optional(),
});

const providerOptionsSchema = z.record(nonBlank, z.record(z.string(), z.unknown()));

const timeoutsSchema = z.strictObject({
  /** Until the first piece of an answer, each attempt. A thinking model may be silent for long. */
  firstTokenMs: durationMs.default(90_000),
  /** Between two pieces of an answer. */
  betweenChunksMs: durationMs.default(60_000),
  /** The whole call: media, waiting for a key, every attempt. */
  callMs: durationMs.default(300_000),
});

const summarySchema = z.strictObject({
  model: nonBlank.optional(),
  /** Tokens that the summary may take of a request. */
  maxTokens: atLeastOne.default(1_000),
  /** It is extended once so many tokens of turns are to be added. */
  everyTokens: atLeastOne.default(4_000),
});

const contextSchema = z.strictObject({
  /** Bytes that the attachments of one call may have together as they are sent. */
  mediaBytes: atLeastOne.default(70 * 2 ** 20),
  /** Tokens that the attachments of one call may cost together. */
  mediaTokens: atLeastOne.default(64_000),
  /** Tokens of earlier attachments that are shown again. */
  earlierMediaTokens: count.default(8_000),
  /** Tokens of recent turns that are sent verbatim. The latest turn is always sent whole. */
  recentTokens: count.default(12_000),
  /** At most this many recent turns are looked at. */
  recentTurns: count.default(40),
  /** Tokens of older turns that were found by meaning. */
  recallTokens: count.default(4_000),
  /** At most this many turns are recalled; 0 turns recall off. */
  recallTurns: count.default(20),
  /** A summary of the turns that are no longer sent verbatim. */
  summary: z
    .union([z.boolean().transform((isOn) => (isOn ? summarySchema.parse({}) : undefined)), summarySchema])
    .optional(),
});

const retrySchema = z.strictObject({
  maxAttempts: atLeastOne.optional(),
  baseDelayMs: durationMs.optional(),
  maxDelayMs: durationMs.optional(),
  onPartialOutput: z.enum(['restart', 'fail']).optional(),
});

const chatModelSchema = partWith<ChatModel>('ChatModel', 'stream', 'capabilities');

const optionsSchema = z.strictObject({
  keys: z
    .array(z.union([nonBlank, z.strictObject({ key: nonBlank, project: nonBlank.optional() })]))
    .readonly()
    .optional(),
  limits: z.array(limitRuleSchema).readonly().optional(),
  keyPool: partWith<KeyPool>('KeyPool', 'acquire', 'stats', 'close').optional(),
  model: z.union([nonBlank, chatModelSchema]).optional(),
  fallbackModels: z
    .array(z.union([nonBlank, chatModelSchema]))
    .readonly()
    .optional(),
  retry: z.union([partWith<RetryPolicy>('RetryPolicy', 'next'), retrySchema]).optional(),
  hedge: z.strictObject({ afterMs: durationMs }).optional(),
  memory: z
    .union([
      z.literal(false),
      z.literal(':memory:'),
      partWith<MemoryStore>('MemoryStore', 'append', 'recent', 'recall', 'forget', 'stats', 'flush', 'close'),
    ])
    .optional(),
  mediaArchive: z
    .union([
      z.literal(false),
      partWith<MediaArchive>('MediaArchive', 'keep', 'list', 'load', 'forget', 'stats', 'close'),
      z.strictObject({ maxBytes: atLeastOne.optional() }),
    ])
    .optional(),
  retention: z.strictObject({ maxAgeMs: durationMs }).optional(),
  embedder: partWith<Embedder>('Embedder', 'embed').optional(),
  media: z
    .union([partWith<MediaProcessor>('MediaProcessor', 'prepare', 'close'), mediaOptionsSchema])
    .optional(),
  dataDir: nonBlank.default('./.multimodal-chat'),
  baseUrl: z.url().optional(),
  systemInstruction: z.string().optional(),
  generation: generationSchema.default({}),
  providerOptions: providerOptionsSchema.optional(),
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
  model: nonBlank.optional(),
  systemInstruction: z.string().optional(),
  generation: generationSchema.optional(),
  providerOptions: providerOptionsSchema.optional(),
  priority: z.enum(['interactive', 'batch']).default('interactive'),
  timeoutMs: durationMs.optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

export type ResolvedOptions = z.output<typeof optionsSchema>;
export type ResolvedRequest = z.output<typeof requestSchema>;

/** @throws ConfigurationError that names every option that is wrong, and options of which one would be ignored. */
export function resolveOptions(options: MultimodalChatOptions): ResolvedOptions {
  const resolved = parseOptions(optionsSchema, options, 'MultimodalChat');
  const conflict = findConflict(options);
  if (conflict !== undefined) throw new ConfigurationError(conflict);
  return resolved;
}

/** @throws InvalidInputError that names every field that is wrong. */
export function resolveRequest(request: ChatRequest): ResolvedRequest {
  const result = requestSchema.safeParse(request);
  if (result.success) return result.data;
  throw new InvalidInputError(`The request is not valid: ${describeIssues(result.error)}.`);
}
