import { z } from 'zod';
import { InvalidInputError } from './errors.js';
import { describeIssues, suggestNames } from './parse-options.js';
import type { Conversation, Turn } from './turn.js';

/**
 * Which turns to drop: those to which every field applies that is present. `before` alone spans all tenants.
 */
export type ForgetTarget =
  | (Conversation & { readonly turnId: string; readonly before?: never })
  | (Conversation & { readonly turnId?: never; readonly before?: Date })
  | {
      readonly tenant: string;
      readonly sessionId?: never;
      readonly turnId?: never;
      readonly before?: Date;
    }
  | {
      readonly tenant?: never;
      readonly sessionId?: never;
      readonly turnId?: never;
      readonly before: Date;
    };

const name = z.string().min(1, 'must not be empty');
const fields = { tenant: name, sessionId: name, turnId: name, before: z.date() };

const targetSchema = z.strictObject(fields).partial().superRefine(checkCombination);

/**
 * Accepts only what names exactly which turns to drop. A field that is present but undefined is refused:
 * ignoring it would drop more than was meant.
 *
 * @throws InvalidInputError
 */
export function parseForgetTarget(target: unknown): ForgetTarget {
  const result = targetSchema.safeParse(target);
  if (result.success) return result.data as ForgetTarget;
  const meant = suggestNames(result.error, fields);
  throw new InvalidInputError(
    `What to forget is not valid, so nothing was forgotten: ${describeIssues(result.error)}.${meant}`,
  );
}

function checkCombination(target: object, context: z.RefinementCtx): void {
  const refuse = (message: string) => context.addIssue({ code: 'custom', message });
  const given = (field: keyof typeof fields) => field in target;
  for (const [field, value] of Object.entries(target)) {
    if (value === undefined) refuse(`\`${field}\` is undefined; leave it out or give it a value`);
  }
  if (!given('tenant') && !given('before')) refuse('name a `sessionId`, a `tenant` or a date `before`');
  if (given('sessionId') && !given('tenant')) refuse('a `sessionId` needs a `tenant`');
  if (given('turnId') && !given('sessionId')) refuse('a `turnId` needs a `sessionId`');
  if (given('turnId') && given('before')) refuse('a `turnId` and a date `before` do not go together');
}

/**
 * The turns that follow one that goes, as they are without it: they follow its parent.
 *
 * @param turns Of one conversation, in order.
 */
export function followersOf(turns: readonly Turn[], id: string): readonly Turn[] {
  const at = turns.findIndex((turn) => turn.id === id);
  const parent = turns[at]?.parentId ?? turns[at - 1]?.id;
  return turns.flatMap(({ parentId, ...turn }) => {
    if (parentId !== id || turn.id === id) return [];
    return [parent === undefined ? turn : { ...turn, parentId: parent }];
  });
}

/** Whether every field of the target applies to a turn. */
export function isForgotten(
  target: ForgetTarget,
  turn: Pick<Turn, 'tenant' | 'sessionId' | 'id' | 'createdAt'>,
): boolean {
  const { before, sessionId, tenant, turnId } = target;
  return (
    (tenant === undefined || turn.tenant === tenant) &&
    (sessionId === undefined || turn.sessionId === sessionId) &&
    (turnId === undefined || turn.id === turnId) &&
    (before === undefined || turn.createdAt < before.getTime())
  );
}
