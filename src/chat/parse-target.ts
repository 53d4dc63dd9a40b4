import { z } from 'zod';
import type { AbortOptions } from '../core/abort.js';
import { type ConversationName, defaultTenant, withTenant } from '../core/conversation.js';
import { InvalidInputError } from '../core/errors.js';
import { parseForgetTarget } from '../core/forget-target.js';
import { count, describeIssues, suggestNames } from '../core/parse-options.js';
import type { Conversation } from '../core/turn.js';
import type { ForgetTarget, SessionPage, StoredSession } from '../memory/memory-store.js';

/** What `forget` removes. The tenant of a conversation is optional, as everywhere. */
export type ForgetRequest =
  | Extract<ForgetTarget, { readonly sessionId?: never }>
  | (ConversationName & { readonly turnId: string; readonly before?: never })
  | (ConversationName & { readonly turnId?: never; readonly before?: Date });

/** Which conversations to list. */
export interface SessionsRequest extends AbortOptions {
  /** Default `default`. */
  readonly tenant?: string | undefined;
  /** Default 50, at most 1 000. */
  readonly limit?: number | undefined;
  /**
   * Only conversations that were used before this date, or that come after this one in the list: usually the
   * last of the page before. Default: from the latest on.
   */
  readonly before?: Date | Pick<StoredSession, 'sessionId' | 'lastAt'> | undefined;
}

const defaultSessions = 50;
const mostSessions = 1_000;

/** Which turns of a conversation; all of them if it is empty. */
export type TurnRange =
  | { readonly turnId: string; readonly before?: never }
  | { readonly turnId?: never; readonly before?: Date };

const name = z.string().min(1, 'must not be empty');
const tenantFields = { tenant: name.optional() };
const conversationFields = { sessionId: name, ...tenantFields };
const fileFields = { ...conversationFields, fingerprint: z.string() };
const importFields = { trusted: z.boolean().optional() };
const sessionsFields = {
  ...tenantFields,
  limit: z.number().int().min(1).max(mostSessions).default(defaultSessions),
  before: z.union([z.date(), z.looseObject({ sessionId: z.string(), lastAt: z.number() })]).optional(),
  signal: z.instanceof(AbortSignal).optional(),
};
const historyFields = { limit: count.optional(), signal: z.instanceof(AbortSignal).optional() };

/** @throws InvalidInputError */
export const parseConversation = (value: unknown): Conversation =>
  withTenant(parse(conversationFields, value, 'The conversation'));

/** @throws InvalidInputError */
export function parseSessionsRequest(value: unknown): SessionPage & { readonly tenant: string } {
  const { before, tenant = defaultTenant, ...page } = parse(sessionsFields, value, 'What to list');
  if (!(before instanceof Date)) return { ...page, tenant, before };
  return { ...page, tenant, before: { lastAt: before.getTime() } };
}

/** @throws InvalidInputError */
export const parseSessionOptions = (value: unknown) =>
  parse(tenantFields, value, 'What is given of the session');

/** @throws InvalidInputError */
export function parseFileTarget(value: unknown): Conversation & { readonly fingerprint: string } {
  const { fingerprint, ...conversation } = parse(fileFields, value, 'What is given of the file');
  return { ...withTenant(conversation), fingerprint };
}

/** @throws InvalidInputError */
export const parseHistoryOptions = (value: unknown) =>
  parse(historyFields, value, 'What is asked of the history');

/** @throws InvalidInputError */
export const parseImportOptions = (value: unknown) =>
  parse(importFields, value, 'What is said of the import');

/**
 * Whatever the object holds, so that `forget` refuses what it does not know.
 *
 * @throws InvalidInputError if it is no object, which would name no turns and so all of them.
 */
export const parseTurnRange = (value: unknown): TurnRange => {
  const result = z.looseObject({}).safeParse(value);
  if (result.success && !('sessionId' in result.data || 'tenant' in result.data))
    return result.data as TurnRange;
  throw new InvalidInputError(
    'What to forget of a session is `{ before }`, `{ turnId }` or nothing, which is all of it. Nothing was forgotten.',
  );
};

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
  const meant = suggestNames(result.error, fields);
  throw new InvalidInputError(`${what} is not valid: ${describeIssues(result.error)}.${meant}`);
}
