import Negotiator from 'negotiator';
import { HttpError } from './http-error.js';

const answerTypes = ['text/plain', 'application/json', 'text/event-stream'] as const;
export type AnswerType = (typeof answerTypes)[number];

/**
 * The types among `available` that the client takes, the best first. Ties go to what the client names
 * first, then to what `available` names first.
 */
export function acceptedTypes<T extends string>(
  accept: string | null,
  available: readonly T[],
): readonly T[] {
  // The negotiator takes `text/plain;charset=utf-8` only where the charset is on offer too.
  const offered = new Map(available.map((type) => [`${type}; charset=utf-8`, type]));
  const types = new Negotiator({ headers: { accept: accept || '*/*' } }).mediaTypes([...offered.keys()]);
  return types.flatMap((type) => offered.get(type) ?? []);
}

/** @throws HttpError 406 when the client takes none of them. */
export function acceptedAnswerTypes(accept: string | null): readonly [AnswerType, ...AnswerType[]] {
  const [best, ...others] = acceptedTypes(accept, answerTypes);
  if (best !== undefined) return [best, ...others];
  throw new HttpError(
    406,
    'NOT_ACCEPTABLE',
    `Nothing here suits the Accept header. Accept one of ${answerTypes.join(', ')}.`,
  );
}
