import type { Where } from 'chromadb';
import type { Conversation, Turn } from '../../core/turn.js';
import type { ForgetTarget } from '../memory-store.js';
import { conversationKey, namesKey, turnId } from '../shared/conversation-key.js';

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

export const ofTenant = (tenant: string): Where => ({ tenant: namesKey(tenant) });

export const inConversationFrom = (key: string, order: number): Where => ({
  $and: [{ conversation: key }, { order: { $gte: order } }],
});

/** What a collection of turns or their vectors is to delete. */
export function toForget(target: ForgetTarget): { ids: string[] } | { where: Where } {
  const { before, sessionId, tenant, turnId: id } = target;
  if (id !== undefined) return { ids: [turnId({ tenant, sessionId, id })] };
  const conditions: Where[] = [];
  if (sessionId !== undefined) conditions.push(inConversation(conversationKey({ tenant, sessionId })));
  else if (tenant !== undefined) conditions.push(ofTenant(tenant));
  if (before !== undefined) conditions.push({ created_at: { $lt: before.getTime() } });
  const [first, second] = conditions as [Where, Where?];
  return { where: second === undefined ? first : { $and: [first, second] } };
}

/** Whether a waiting record is of the target. */
export function isForgotten(
  { before, sessionId, tenant, turnId: turn }: ForgetTarget,
  { id, scope }: { readonly id: string; readonly scope: RecordScope },
): boolean {
  if (turn !== undefined) return id === turnId({ tenant, sessionId, id: turn });
  if (before !== undefined && scope.created_at >= before.getTime()) return false;
  if (sessionId !== undefined) return scope.conversation === conversationKey({ tenant, sessionId });
  return tenant === undefined || scope.tenant === namesKey(tenant);
}
