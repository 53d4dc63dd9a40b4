import { z } from 'zod';
import { InvalidInputError, MemoryError } from '../core/errors.js';
import type { PreparedMedia, PreparedPart } from '../core/media.js';
import { describeIssues } from '../core/parse-options.js';
import { type Conversation, type TurnRecord, toTurn, toTurnRecord } from '../core/turn.js';
import type { MediaArchive } from '../memory/media-archive.js';
import type { MemoryStore } from '../memory/memory-store.js';
import { format, headerSchema, lineSchema, withoutForgeable } from './transfer-schema.js';

/** More than any conversation has. */
const everyTurn = Number.MAX_SAFE_INTEGER;

/** More than a line of an attachment that the archive keeps by default. */
const longestLine = 256 * 2 ** 20;

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

export interface ImportOptions {
  /**
   * Whether the export is known to come from this application unchanged. Its turns then keep what a model takes
   * for its own: tool calls, code and metadata of the provider, such as thought signatures. Default `false`:
   * calls and code become text, the metadata are dropped.
   */
  readonly trusted?: boolean | undefined;
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
  { trusted = false }: ImportOptions = {},
): Promise<number> {
  if (typeof lines !== 'string' && !isIterable(lines)) {
    throw new InvalidInputError('An import takes the lines of an export: text, an iterable or a stream.');
  }
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
      const turn = trusted ? entry.turn : withoutForgeable(entry.turn);
      await memory.append(toTurn({ ...turn, ...conversation } as TurnRecord));
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

const isIterable = (value: unknown) =>
  typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);

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
  if (isTooDeep(value)) {
    throw new InvalidInputError(
      `Line ${number} of the import is nested more than ${deepest} levels deep. It is not an export.`,
    );
  }
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data;
  const issues = error.issues.slice(0, mostIssues);
  throw new InvalidInputError(
    `Line ${number} of the import is not valid: ${describeIssues(new z.ZodError(issues))}.`,
  );
}

/** Nesting levels of a line. Reading and writing many more would overflow the stack. */
const deepest = 200;
const mostIssues = 5;

function isTooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > deepest) return true;
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []));
  }
  return false;
}
