import { z } from 'zod';
import { InvalidInputError, MemoryError } from '../core/errors.js';
import type { MediaKind, PreparedMedia, PreparedPart } from '../core/media.js';
import type { Message, MessagePart, SourcePart } from '../core/message.js';
import { type Conversation, type TurnRecord, toTurn, toTurnRecord } from '../core/turn.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { ModelMessage } from '../model/chat-model.js';
import { toPlain } from '../turn/context/plain.js';

/** The first line of every export. */
const format = { format: 'multimodal-chat/session', version: 2 } as const;
/** More than any conversation has. */
const everyTurn = Number.MAX_SAFE_INTEGER;

/** Version 1 has the plain text of a turn and Gemini's parts in place of messages. */
const headerSchema = z.object({ format: z.literal(format.format), version: z.literal([1, 2]) });

/** More than a line of an attachment that the archive keeps by default. */
const longestLine = 256 * 2 ** 20;
const longestName = 1_000;
/** Milliseconds since the epoch that a `Date` can hold. */
const time = z.number().int().min(0).max(8.64e15);
const name = z.string().min(1).max(longestName);

/**
 * What a provider understands of a part, such as a thought signature, would reach the model as its own words,
 * so an import brings none of it.
 */
const partSchema = z
  .looseObject({ type: name })
  .transform(({ providerMetadata: _, ...part }) => part)
  .superRefine((part, context) => {
    const known = partFields[part.type as keyof typeof partFields];
    if (known === undefined) return;
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

const messageSchema = z
  .looseObject({
    role: z.enum(['user', 'assistant', 'tool'] satisfies readonly Message['role'][]),
    parts: z.array(partSchema).transform((parts) => parts.filter(({ type }) => type !== 'provider')),
    origin: z.looseObject({ provider: name, model: name }).optional(),
  })
  .transform(({ providerMetadata: _, ...message }) => message);

const turnMediaSchema = z.looseObject({
  kind: z.enum(['image', 'video', 'audio', 'document'] satisfies readonly MediaKind[]),
  name: z.string().max(longestName),
  fingerprint: name,
  mimeType: name.optional(),
  durationMs: z.number().min(0).optional(),
  frameTimestampsMs: z.array(z.number().min(0)).optional(),
});

const tokens = z.number().int().min(0).optional();

/** The required fields of a turn; other fields pass through unchanged. */
const turnSchema = z
  .looseObject({
    id: name,
    parentId: name.optional(),
    createdAt: time,
    // Calls and code become text: a model would take them for its own.
    messages: z
      .array(messageSchema)
      .transform((messages) =>
        messages.some(holdsActions) ? toPlain(messages as object as readonly ModelMessage[]) : messages,
      )
      .optional(),
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
  })
  .transform(({ replyParts: _, ...turn }) => turn);

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

const lineSchema = z.union([z.object({ turn: turnSchema }), z.object({ media: mediaSchema })]);

export interface TransferParts {
  readonly memory: MemoryStore;
  readonly archive: MediaArchive | undefined;
}

/**
 * A conversation as JSON lines: a header, the turns oldest first, then the archived attachments.
 * The names of tenant and session are left out, so that it can be imported under other names.
 */
export async function* exportSession(
  { archive, memory }: TransferParts,
  conversation: Conversation,
): AsyncGenerator<string, void, undefined> {
  yield line(format);
  for (const turn of await memory.recent(conversation, { limit: everyTurn })) {
    const { sessionId: _, tenant: __, ...rest } = toTurnRecord(turn);
    yield line({ turn: rest });
  }
  for (const item of (await archive?.list(conversation)) ?? []) {
    const data = await archive?.load(conversation, item.id);
    if (data === undefined) continue;
    const { firstAt, id: _, lastAt: __, parts, ...media } = item;
    const withData = parts.map((part, index) => ({ ...part, data: toBase64(data[index]) }));
    yield line({ media: { attachedAt: firstAt, ...media, parts: withData } });
  }
}

/**
 * Appends an export to a conversation. Turns that it already has stay unchanged, so an interrupted import
 * can simply be repeated.
 *
 * @returns The number of turns read.
 * @throws InvalidInputError that names the first line that is not valid.
 */
export async function importSession(
  { archive, memory }: TransferParts,
  conversation: Conversation,
  lines: Iterable<string> | AsyncIterable<string>,
): Promise<number> {
  let number = 0;
  let turns = 0;
  for await (const text of splitLines(lines)) {
    number += 1;
    if (number === 1) {
      parse(headerSchema, text, number);
      continue;
    }
    const entry = parse(lineSchema, text, number);
    if ('turn' in entry) {
      await memory.append(toTurn({ ...entry.turn, ...conversation } as TurnRecord));
      turns += 1;
    } else {
      const { attachedAt, parts, ...media } = entry.media;
      const prepared = parts.map(
        (part) => ({ ...part, data: Buffer.from(part.data, 'base64') }) as PreparedPart,
      );
      await archive?.keep(conversation, { ...media, parts: prepared } as PreparedMedia, attachedAt);
    }
  }
  if (number === 0) throw new InvalidInputError('There is nothing to import: the export is empty.');
  return turns;
}

/** The parts that can be transferred. @throws MemoryError with memory off. */
export function transferable(
  memory: MemoryStore | undefined,
  archive: MediaArchive | undefined,
): TransferParts {
  if (memory !== undefined) return { memory, archive };
  throw new MemoryError('Memory is off, so there is no conversation to export or import. Turn `memory` on.');
}

const actions = ['tool-call', 'tool-result', 'code', 'code-result'];

const holdsActions = ({ parts }: { readonly parts: readonly { readonly type: string }[] }) =>
  parts.some(({ type }) => actions.includes(type));

const line = (value: unknown) => `${JSON.stringify(value)}\n`;

const toBase64 = (data: Uint8Array | undefined) => Buffer.from(data ?? []).toString('base64');

/** Lines from pieces of any size; the last one may lack its line break. Empty lines are skipped. */
async function* splitLines(pieces: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  let begun: string[] = [];
  let length = 0;
  let number = 1;
  for await (const piece of pieces) {
    if (typeof piece !== 'string') {
      throw new InvalidInputError('An import takes text. Set the encoding of its stream to "utf8".');
    }
    const [first = '', ...others] = piece.split('\n');
    begun.push(first);
    length += first.length;
    for (const next of others) {
      const text = begun.join('');
      if (text.trim() !== '') yield text;
      begun = [next];
      length = next.length;
      number += 1;
    }
    if (length > longestLine) {
      throw new InvalidInputError(
        `Line ${number} of the import is longer than ${longestLine} characters. It is damaged or not an export.`,
      );
    }
  }
  const text = begun.join('');
  if (text.trim() !== '') yield text;
}

function parse<T>(schema: z.ZodType<T>, text: string, number: number): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InvalidInputError(`Line ${number} of the import is not JSON: the file is damaged or cut off.`, {
      cause,
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new InvalidInputError(`Line ${number} of the import is not valid: ${z.prettifyError(result.error)}.`);
}
