import { InvalidInputError } from './errors.js';
import type { Conversation } from './turn.js';

export const defaultTenant = 'default';

/** A conversation; the tenant is optional. */
export interface ConversationName {
  readonly sessionId: string;
  /** Default `default`. */
  readonly tenant?: string | undefined;
}

export function withTenant({ sessionId, tenant }: ConversationName): Conversation {
  if (sessionId === '') throw new InvalidInputError('`sessionId` must not be empty.');
  return { sessionId, tenant: tenant ?? defaultTenant };
}
