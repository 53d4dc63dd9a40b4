import { createHash } from 'node:crypto';
import type { Where } from 'chromadb';
import type { Conversation, Turn } from '../../core/turn.js';
import type { ForgetTarget } from '../memory-store.js';
import { nameKey } from '../shared/conversation-key.js';

/** The metadata of every record; every filter is made of it. */
export interface RecordScope {
  readonly tenant: string;
  readonly conversation: string;
  /** Position in the conversation: rises with every append. */
  readonly order: number;
  readonly created_at: number;
}

const digest = (...names: readonly string[]): string => {
  const hash = createHash('sha256');
  // Each part has a fixed length, so ('a', 'bc') and ('ab', 'c') differ.
  for (const name of names) hash.update(nameKey(name));
  return hash.digest('hex');
};

export const conversationKey = ({ tenant, sessionId }: Conversation): string => digest(tenant, sessionId);

/** The id of a turn's records; the same id in another conversation is another record. */
export const recordId = ({ tenant, sessionId, id }: Conversation & Pick<Turn, 'id'>): string =>
  digest(tenant, sessionId, id);

export function scopeOf(turn: Conversation & Pick<Turn, 'createdAt'>, order: number): RecordScope {
  return {
    tenant: digest(turn.tenant),
    conversation: conversationKey(turn),
    order,
    created_at: turn.createdAt,
  };
}

/** The only filters: nothing is read for a caller without one of them. */
export const inConversation = (key: string): Where => ({ conversation: key });

export const inConversationFrom = (key: string, order: number): Where => ({
  $and: [{ conversation: key }, { order: { $gte: order } }],
});

export function toForget(target: ForgetTarget): Where {
  if ('before' in target) return { created_at: { $lt: target.before.getTime() } };
  if ('sessionId' in target) return inConversation(conversationKey(target));
  return { tenant: digest(target.tenant) };
}

export function isForgotten(target: ForgetTarget, scope: RecordScope): boolean {
  if ('before' in target) return scope.created_at < target.before.getTime();
  if ('sessionId' in target) return scope.conversation === conversationKey(target);
  return scope.tenant === digest(target.tenant);
}
