import { z } from 'zod';
import type { MediaKind } from '../core/media.js';
import type { Message, MessagePart, SourcePart } from '../core/message.js';
import type { ModelMessage } from '../model/chat-model.js';
import { toPlain } from '../turn/context/plain.js';

/** The first line of every export. */
export const format = { format: 'multimodal-chat/session', version: 2 } as const;
/** Version 1 has the plain text of a turn and Gemini's parts in place of messages. */
export const headerSchema = z.object({ format: z.literal(format.format), version: z.literal([1, 2]) });

const longestName = 1_000;
/** Milliseconds since the epoch that a `Date` can hold. */
const time = z.number().int().min(0).max(8.64e15);
const name = z.string().min(1).max(longestName);

const partSchema = z.looseObject({ type: name }).superRefine((part, context) => {
  if (!Object.hasOwn(partFields, part.type)) return;
  const known: z.ZodRawShape = partFields[part.type as keyof typeof partFields];
  const result = z.looseObject(known).safeParse(part);
  for (const { message, path } of result.error?.issues ?? []) {
    context.addIssue({ code: 'custom', path: [...path], message });
  }
});

const partFields = {
  text: { text: z.string() },
  reasoning: { text: z.string() },
  media: { media: z.lazy(() => turnMediaSchema) },
  'tool-call': { callId: name, name, input: z.json() },
  'tool-result': { callId: name, name, output: z.json() },
  file: { mimeType: name, fingerprint: name, bytes: z.number().int().min(0) },
  source: { kind: z.enum(['web', 'map', 'file', 'media'] satisfies readonly SourcePart['kind'][]) },
  code: { code: z.string() },
  'code-result': { outcome: z.enum(['ok', 'failed', 'timeout']), output: z.string() },
} satisfies Partial<Record<MessagePart['type'], z.ZodRawShape>>;

export const messageSchema = z.looseObject({
  role: z.enum(['user', 'assistant', 'tool'] satisfies readonly Message['role'][]),
  parts: z.array(partSchema),
  origin: z.looseObject({ provider: name, model: name }).optional(),
});

const turnMediaSchema = z.looseObject({
  kind: z.enum(['image', 'video', 'audio', 'document'] satisfies readonly MediaKind[]),
  name: z.string().max(longestName),
  fingerprint: name,
  mimeType: name.optional(),
  durationMs: z.number().min(0).optional(),
  frameTimestampsMs: z.array(z.number().min(0)).optional(),
});

const tokens = z.number().int().min(0).optional();

/** The fields of a turn that are checked; other fields pass through unchanged. */
const turnSchema = z.looseObject({
  id: name,
  parentId: name.optional(),
  createdAt: time,
  messages: z.array(messageSchema).optional(),
  prompt: z.string(),
  reply: z.string(),
  media: z.array(turnMediaSchema).optional(),
  model: name.optional(),
  usage: z
    .looseObject({
      inputTokens: tokens,
      outputTokens: tokens,
      thoughtTokens: tokens,
      totalTokens: tokens,
    })
    .optional(),
  // Gemini's own parts, of version 1.
  replyParts: z.array(z.unknown()).optional(),
});

const mediaSchema = z.looseObject({
  attachedAt: time,
  kind: z.enum(['image', 'video', 'audio', 'document'] satisfies readonly MediaKind[]),
  name: z.string().max(longestName),
  fingerprint: name,
  estimatedTokens: z.number().min(0).max(1e9),
  source: z.looseObject({
    mimeType: name,
    bytes: z.number().min(0),
    durationMs: z.number().min(0).optional(),
  }),
  // A path would have a file of this machine read.
  parts: z.array(
    z.looseObject({
      mimeType: name,
      data: z.base64(),
      timestampMs: z.number().min(0).optional(),
      path: z.undefined().optional(),
      uri: z.undefined().optional(),
    }),
  ),
});

export const lineSchema = z.union([z.object({ turn: turnSchema }), z.object({ media: mediaSchema })]);

type ImportedTurn = z.infer<typeof turnSchema>;

const actions = ['tool-call', 'tool-result', 'code', 'code-result'];

/**
 * Anyone can write an export, and a model takes metadata of its provider, such as thought signatures, and calls
 * and code for its own. So the metadata are dropped, and calls and code become text.
 */
export function withoutForgeable({ messages, replyParts: _, ...turn }: ImportedTurn): object {
  if (messages === undefined) return turn;
  const bare = messages.map(({ providerMetadata: __, parts, ...message }) => ({
    ...message,
    parts: parts.filter(({ type }) => type !== 'provider').map(({ providerMetadata: ___, ...part }) => part),
  }));
  const holdsActions = bare.some(({ parts }) => parts.some(({ type }) => actions.includes(type)));
  if (!holdsActions) return { ...turn, messages: bare };
  return { ...turn, messages: toPlain(bare as object as readonly ModelMessage[]) };
}
