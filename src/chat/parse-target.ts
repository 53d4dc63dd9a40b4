import { z } from 'zod';
import { type ConversationName, withTenant } from '../core/conversation.js';
import { InvalidInputError } from '../core/errors.js';
import { parseForgetTarget, suggestName } from '../core/forget-target.js';
import { count, describeIssues } from '../core/parse-options.js';
import type { Conversation } from '../core/turn.js';
import type { ForgetTarget } from '../memory/memory-store.js';

/** What `forget` removes. The tenant of a conversation is optional, as everywhere. */
export type ForgetRequest =
  | Extract<ForgetTarget, { readonly sessionId?: never }>
  | (ConversationName & { readonly turnId: string; readonly before?: never })
  | (ConversationName & { readonly turnId?: never; readonly before?: Date });

const name = z.string().min(1, 'must not be empty');
const conversationFields = { sessionId: name, tenant: name.optional() };
const importFields = { trusted: z.boolean().optional() };
const historyFields = { limit: count.optional(), signal: z.instanceof(AbortSignal).optional() };

/** @throws InvalidInputError */
export const parseConversation = (value: unknown): Conversation =>
  withTenant(parse(conversationFields, value, 'The conversation'));

/** @throws InvalidInputError */
export const parseHistoryOptions = (value: unknown) =>
  parse(historyFields, value, 'The options of the history');

/** @throws InvalidInputError */
export const parseImportOptions = (value: unknown) => parse(importFields, value, 'The options of the import');

/** @throws InvalidInputError */
export function parseForgetRequest(value: unknown): ForgetTarget {
  const hasDefaultTenant =
    typeof value === 'object' &&
    value !== null &&
    typeof (value as ConversationName).sessionId === 'string' &&
    (value as ConversationName).tenant === undefined;
  return parseForgetTarget(hasDefaultTenant ? { ...value, ...withTenant(value as ConversationName) } : value);
}

function parse<Fields extends z.ZodRawShape>(fields: Fields, value: unknown, what: string) {
  const result = z.strictObject(fields).safeParse(value);
  if (result.success) return result.data;
  const meant = suggestName(result.error, Object.keys(fields));
  throw new InvalidInputError(`${what} is not valid: ${describeIssues(result.error)}.${meant}`);
}
