import Negotiator from 'negotiator';
import { HttpError } from './http-error.js';

const answerTypes = ['text/plain', 'application/json', 'text/event-stream'] as const;
export type AnswerType = (typeof answerTypes)[number];

/**
 * The types among `available` that the client accepts, best first. Ties go to the type that the client
 * names first, then to the one that `available` names first.
 */
export function acceptedTypes<T extends string>(
  accept: string | null,
  available: readonly T[],
): readonly T[] {
  // The negotiator accepts `text/plain;charset=utf-8` only if the charset is offered too.
  const offered = new Map(available.map((type) => [`${type}; charset=utf-8`, type]));
  const types = new Negotiator({ headers: { accept: accept || '*/*' } }).mediaTypes([...offered.keys()]);
  return types.flatMap((type) => offered.get(type) ?? []);
}

/** @throws HttpError 406 if the client accepts none of them. */
export function acceptedAnswerTypes(accept: string | null): readonly [AnswerType, ...AnswerType[]] {
  const [best, ...others] = acceptedTypes(accept, answerTypes);
  if (best !== undefined) return [best, ...others];
  throw new HttpError(
    406,
    'NOT_ACCEPTABLE',
    `No reply matches the Accept header. Accept one of ${answerTypes.join(', ')}.`,
  );
}
