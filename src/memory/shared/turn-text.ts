import { MemoryError } from '../../core/errors.js';
import type { Turn } from '../../core/turn.js';

/** What of a turn is indexed and embedded: both sides of the exchange and the names of its attachments. */
export function turnText(turn: Pick<Turn, 'prompt' | 'reply' | 'media'>): string {
  const names = turn.media?.map((media) => media.name) ?? [];
  return [turn.prompt, turn.reply, ...names].filter((text) => text !== '').join('\n');
}

/** The whole turn as it is stored. Lone surrogates and NUL are escaped, so that any database keeps them. */
export function serialiseTurn(turn: Turn): string {
  try {
    return JSON.stringify(turn);
  } catch (cause) {
    throw new MemoryError('The turn cannot be written as JSON; its replyParts must be plain data.', {
      cause,
    });
  }
}
