import type { Message } from '../../core/message.js';
import { type Turn, toTurn } from '../../core/turn.js';
import type { Call } from '../call-scope.js';

/** The messages of a caller as turns, each of which begins with a message of the user. */
export function turnsOfHistory(
  history: readonly Message[],
  { askedAt, conversation, turnId }: Pick<Call, 'askedAt' | 'conversation' | 'turnId'>,
): readonly Turn[] {
  const groups: Message[][] = [];
  for (const message of history) {
    const last = groups.at(-1);
    if (last === undefined || message.role === 'user') groups.push([message]);
    else last.push(message);
  }
  return groups.map((messages, at) =>
    toTurn({ ...conversation, id: `${turnId} before ${groups.length - at}`, createdAt: askedAt, messages }),
  );
}
