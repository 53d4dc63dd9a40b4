import { MemoryError } from '../../core/errors.js';
import { textOfResults } from '../../core/message.js';
import { type Turn, type TurnRecord, toTurn, toTurnRecord } from '../../core/turn.js';

/** A turn and its JSON, under which it is stored. */
export interface SerializedTurn {
  readonly turn: Turn;
  readonly body: string;
}

/** Lone surrogates and NUL are escaped, so that any database keeps them. */
export function serializeTurn(turn: Turn): SerializedTurn {
  try {
    return { turn, body: JSON.stringify(toTurnRecord(turn)) };
  } catch (cause) {
    throw new MemoryError('The turn cannot be written as JSON. Its messages must be plain data.', { cause });
  }
}

/** Also completes the records of versions before 0.2, which have no messages. */
export function parseTurn(body: string): Turn {
  const record = JSON.parse(body) as TurnRecord | null;
  if (typeof record?.id !== 'string' || typeof record.prompt !== 'string') {
    throw new SyntaxError('The record is not a turn');
  }
  return toTurn(record);
}

/** In characters: what a tool says first tells what it is about. */
const longestResult = 4_000;

/** The text of a turn that is indexed and embedded: prompt, what tools gave, reply and the names of the attachments. */
export function textOfTurn(
  turn: Pick<Turn, 'prompt' | 'reply' | 'media'> & Partial<Pick<Turn, 'messages'>>,
): string {
  const { media = [], messages = [], prompt, reply } = turn;
  const results = messages.length > 2 ? textOfResults(messages, longestResult) : '';
  return [prompt, results, reply, ...media.map(({ name }) => name)].filter((text) => text !== '').join('\n');
}

/** The same of a stored turn. Half the time of `parseTurn`: a record has its plain text in any case. */
export const textOfBody = (body: string): string => textOfTurn(JSON.parse(body) as Turn);
