import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { systemClock } from '../core/clock.js';
import { ConfigurationError, InvalidInputError } from '../core/errors.js';
import {
  atLeastOne,
  count,
  describeIssues,
  durationMs,
  nonBlank,
  parseOptions,
  partWith,
  suggestNames,
} from '../core/parse-options.js';
import { type AnySchema, type CheckedSchema, readSchema } from '../core/schema.js';
import type { Tool, ToolChoice } from '../core/tool.js';
import type { KeyPool } from '../keys/key-pool.js';
import { keySpecSchema } from '../keys/key-spec.js';
import { limitRuleSchema } from '../keys/limit-rules.js';
import { mediaOptionsSchema } from '../media/media-options.js';
import type { MediaProcessor } from '../media/media-processor.js';
import type { Embedder } from '../memory/embedder.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { ChatModel, Modality, ThinkingLevel } from '../model/chat-model.js';
import { findReservedOption } from '../model/reserved-options.js';
import { backoffRetryPolicyOptionsSchema } from '../retry/backoff-retry-policy-options.js';
import type { RetryPolicy } from '../retry/retry-policy.js';
import type { ChatRequest, MultimodalChatOptions, ResumeRequest } from './chat-options.js';
import { historySchema } from './history-messages.js';
import { mediaSourceSchema } from './media-source-schema.js';
import { findConflict } from './option-conflicts.js';
import { optionsElsewhere, requestElsewhere } from './other-names.js';

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
  thinkingBudget: count.optional(),
  responseModalities: z
    .array(z.enum(['text', 'image', 'audio'] satisfies readonly Modality[]))
    .min(1)
    .readonly()
    .optional(),
  seed: z.number().int().optional(),
  responseMimeType: z.string().optional(),
  responseJsonSchema: z.unknown().optional(),
});

const builtInSchema = z.strictObject({
  search: z.boolean().optional(),
  urls: z.boolean().optional(),
  code: z.boolean().optional(),
  maps: z
    .union([
      z.boolean(),
      z.strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) }),
    ])
    .optional(),
  fileSearch: z.strictObject({ stores: z.array(nonBlank).min(1).readonly() }).optional(),
});

const toolsSchema = z
  .array(
    z.custom<Tool>((value) => {
      if (typeof value !== 'object' || value === null) return false;
      const { inputSchema, name, parse } = value as Partial<Tool>;
      return typeof name === 'string' && typeof inputSchema === 'object' && typeof parse === 'function';
    }, 'must be a tool: make it with tool()'),
  )
  .refine(
    (tools) => new Set(tools.map(({ name }) => name)).size === tools.length,
    'must have different names',
  )
  .readonly();

const toolChoiceSchema = z.union([
  z.enum(['auto', 'none', 'required'] satisfies readonly ToolChoice[]),
  z.strictObject({ name: nonBlank }),
]);

const outputSchema = z
  .custom<AnySchema>(
    (value) => (typeof value === 'object' && value !== null) || typeof value === 'function',
    'must be a schema, such as z.object({ ... }), or a JSON schema',
  )
  .transform((schema, context): CheckedSchema => {
    const read = readSchema(schema);
    if (!('fault' in read)) return read;
    context.issues.push({ code: 'custom', input: schema, message: read.fault });
    return z.NEVER;
  });

const providerOptionsSchema = z
  .record(nonBlank, z.record(z.string(), z.unknown()))
  .check(({ issues, value }) => {
    const fault = findReservedOption(value);
    if (fault) issues.push({ code: 'custom', input: value, path: [...fault.path], message: fault.message });
  });

const timeoutsSchema = z.strictObject({
  firstTokenMs: durationMs.optional(),
  betweenChunksMs: durationMs.optional(),
  callMs: durationMs.default(300_000),
  toolMs: durationMs.default(60_000),
});

const summarySchema = z.strictObject({
  model: nonBlank.optional(),
  maxTokens: atLeastOne.default(1_000),
  everyTokens: atLeastOne.default(4_000),
});

const contextSchema = z.strictObject({
  mediaBytes: atLeastOne.default(70 * 2 ** 20),
  mediaTokens: atLeastOne.default(64_000),
  earlierMediaTokens: count.default(8_000),
  toolResultTokens: atLeastOne.default(16_000),
  recentTokens: count.default(12_000),
  recentTurns: count.default(40),
  recallTokens: count.default(4_000),
  recallTurns: count.default(20),
  summary: z
    .union([z.boolean().transform((isOn) => (isOn ? summarySchema.parse({}) : undefined)), summarySchema])
    .optional(),
});

const retrySchema = backoffRetryPolicyOptionsSchema
  .pick({ maxAttempts: true, baseDelayMs: true, maxDelayMs: true, onPartialOutput: true })
  .partial();

const chatModelSchema = z.custom<ChatModel>((value) => {
  if (typeof value !== 'object' || value === null) return false;
  const { capabilities, models, needsKey, provider, stream } = value as Partial<ChatModel>;
  return (
    typeof stream === 'function' &&
    typeof capabilities === 'function' &&
    typeof provider === 'string' &&
    typeof models?.default === 'string' &&
    typeof needsKey === 'boolean'
  );
}, 'must be a ChatModel: an object with stream(), capabilities(), `provider`, `models.default` and `needsKey`');

export const optionsSchema = z.strictObject({
  keys: z.array(keySpecSchema).readonly().optional(),
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
  // `GeminiModel` checks their values further.
  baseUrl: z.url().optional(),
  apiVersion: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  fetch: z
    .custom<typeof globalThis.fetch>((value) => typeof value === 'function', 'must be a function')
    .optional(),
  systemInstruction: z.string().optional(),
  generation: generationSchema.default({}),
  builtIn: builtInSchema.optional(),
  tools: toolsSchema.default([]),
  toolChoice: toolChoiceSchema.optional(),
  maxSteps: atLeastOne.default(8),
  providerOptions: providerOptionsSchema.optional(),
  timeouts: timeoutsSchema.prefault({}),
  context: contextSchema.prefault({}),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(() => systemClock),
});

const requestFields = z.strictObject({
  prompt: z.string().default(''),
  sessionId: z.string().min(1).optional(),
  tenant: z.string().min(1).default('default'),
  turnId: z.string().min(1).optional(),
  history: historySchema.optional(),
  media: z.array(mediaSourceSchema).default([]),
  model: nonBlank.optional(),
  systemInstruction: z.string().optional(),
  generation: generationSchema.optional(),
  builtIn: builtInSchema.optional(),
  tools: toolsSchema.optional(),
  toolChoice: toolChoiceSchema.optional(),
  maxSteps: atLeastOne.optional(),
  output: outputSchema.optional(),
  providerOptions: providerOptionsSchema.optional(),
  priority: z.enum(['interactive', 'batch']).default('interactive'),
  timeoutMs: durationMs.optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

const hasOneFormat = ({
  generation: { responseJsonSchema, responseMimeType } = {},
  output,
}: Pick<z.output<typeof requestFields>, 'generation' | 'output'>) =>
  output === undefined || (responseJsonSchema === undefined && responseMimeType === undefined);
const twoFormats = {
  path: ['output'],
  message:
    'does not go together with `responseMimeType` and `responseJsonSchema` of `generation`: leave them out',
};

const requestSchema = requestFields
  .refine(({ media, prompt }) => media.length > 0 || prompt.trim() !== '', {
    path: ['prompt'],
    message: 'must not be empty unless there are media',
  })
  .refine(({ history, turnId }) => history === undefined || turnId === undefined, {
    path: ['history'],
    message: 'does not go together with `turnId`, which takes the stored turns before that one',
  })
  .refine(hasOneFormat, twoFormats);

const resumeSchema = requestFields
  .omit({ prompt: true, media: true, history: true, toolChoice: true })
  .extend({
    sessionId: z.string().min(1),
    turnId: z.string().min(1),
    approvals: z.record(nonBlank, z.boolean()).default({}),
    results: z.record(nonBlank, z.json()).default({}),
  })
  .refine(hasOneFormat, twoFormats);

export type ResolvedOptions = z.output<typeof optionsSchema>;
export type ResolvedRequest = z.output<typeof requestSchema>;

/** @throws ConfigurationError that names every option that is wrong, and options of which one would be ignored. */
export function resolveOptions(options: MultimodalChatOptions): ResolvedOptions {
  const resolved = parseOptions(optionsSchema, options, 'MultimodalChat', optionsElsewhere);
  const conflict = findConflict(options ?? {});
  if (conflict !== undefined) throw new ConfigurationError(conflict);
  return resolved;
}

/** @throws InvalidInputError that names every field that is wrong. */
export const resolveRequest = (request: ChatRequest): ResolvedRequest => parseRequest(requestSchema, request);

/** @throws InvalidInputError that names every field that is wrong. */
export const resolveResume = (request: ResumeRequest) => parseRequest(resumeSchema, request);

function parseRequest<Schema extends z.ZodType>(schema: Schema, request: unknown): z.output<Schema> {
  const result = schema.safeParse(request);
  if (result.success) return result.data;
  const meant = suggestNames(result.error, requestFields.shape, requestElsewhere);
  throw new InvalidInputError(`The request is not valid: ${describeIssues(result.error)}.${meant}`);
}
