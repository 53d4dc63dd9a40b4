import { z } from 'zod';
import { InvalidInputError, MemoryError } from '../core/errors.js';
import type { MediaKind, PreparedMedia, PreparedPart } from '../core/media.js';
import type { Message } from '../core/message.js';
import { type Conversation, type TurnRecord, toTurn, toTurnRecord } from '../core/turn.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';

/** The first line of every export. */
const format = { format: 'multimodal-chat/session', version: 2 } as const;
/** More than any conversation has. */
const everyTurn = Number.MAX_SAFE_INTEGER;

/** Version 1 has the plain text of a turn and Gemini's parts in place of messages. */
const headerSchema = z.object({ format: z.literal(format.format), version: z.literal([1, 2]) });

const messageSchema = z.looseObject({
  role: z.enum(['user', 'assistant', 'tool'] satisfies readonly Message['role'][]),
  parts: z.array(z.looseObject({ type: z.string() })),
});

/** The required fields of a turn; other fields pass through unchanged. */
const turnSchema = z.looseObject({
  id: z.string().min(1),
  createdAt: z.number().finite(),
  messages: z.array(messageSchema).optional(),
  prompt: z.string(),
  reply: z.string(),
  media: z.array(z.looseObject({ kind: z.string(), name: z.string(), fingerprint: z.string() })).optional(),
  replyParts: z.array(z.unknown()).optional(),
});

const mediaSchema = z.looseObject({
  attachedAt: z.number().finite(),
  kind: z.enum(['image', 'video', 'audio', 'document'] satisfies readonly MediaKind[]),
  name: z.string(),
  fingerprint: z.string(),
  estimatedTokens: z.number(),
  source: z.looseObject({ mimeType: z.string(), bytes: z.number() }),
  parts: z.array(z.looseObject({ mimeType: z.string(), data: z.base64() })),
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

const line = (value: unknown) => `${JSON.stringify(value)}\n`;

const toBase64 = (data: Uint8Array | undefined) => Buffer.from(data ?? []).toString('base64');

/** Lines from pieces of any size; the last one may lack its line break. Empty lines are skipped. */
async function* splitLines(pieces: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) if (text.trim() !== '') yield text;
  }
  if (rest.trim() !== '') yield rest;
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
