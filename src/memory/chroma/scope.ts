import type { Where } from 'chromadb';
import type { Conversation, Turn } from '../../core/turn.js';
import type { ForgetTarget } from '../memory-store.js';
import { conversationKey, namesKey } from '../shared/conversation-key.js';

/** The metadata of every record; every filter is made of it. */
export interface RecordScope {
  readonly tenant: string;
  readonly conversation: string;
  /** Position in the conversation: rises with every append. */
  readonly order: number;
  readonly created_at: number;
}

export const scopeOf = (turn: Conversation & Pick<Turn, 'createdAt'>, order: number): RecordScope => ({
  tenant: namesKey(turn.tenant),
  conversation: conversationKey(turn),
  order,
  created_at: turn.createdAt,
});

/** The only filters: nothing is read for a caller without one of them. */
export const inConversation = (key: string): Where => ({ conversation: key });

export const inConversationFrom = (key: string, order: number): Where => ({
  $and: [{ conversation: key }, { order: { $gte: order } }],
});

export function toForget(target: ForgetTarget): Where {
  if ('before' in target) return { created_at: { $lt: target.before.getTime() } };
  if ('sessionId' in target) return inConversation(conversationKey(target));
  return { tenant: namesKey(target.tenant) };
}

export function isForgotten(target: ForgetTarget, scope: RecordScope): boolean {
  if ('before' in target) return scope.created_at < target.before.getTime();
  if ('sessionId' in target) return scope.conversation === conversationKey(target);
  return scope.tenant === namesKey(target.tenant);
}
