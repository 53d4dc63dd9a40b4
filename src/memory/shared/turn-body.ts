import { MemoryError } from '../../core/errors.js';
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
  return toTurn(JSON.parse(body) as TurnRecord);
}

/**
 * The text of a stored turn that is indexed and embedded: prompt, reply and the names of the attachments.
 * Half the time of `parseTurn`, since a record has its plain text whether or not it has messages.
 */
export function textOfBody(body: string): string {
  const { prompt, reply, media = [] } = JSON.parse(body) as Turn;
  return [prompt, reply, ...media.map(({ name }) => name)].filter((text) => text !== '').join('\n');
}
