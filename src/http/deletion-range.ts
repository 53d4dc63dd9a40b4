import { InvalidInputError } from '../index.js';
import type { HttpRequest } from './http-messages.js';

/** ISO 8601 with a time zone, or a date alone, which is midnight UTC. */
const isoDate = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/**
 * The date `before` which turns are to be deleted, if the query has one.
 *
 * @param known Parameters that the route takes. Another one would be ignored, and more deleted than meant.
 * @throws InvalidInputError
 */
export function rangeOf(request: HttpRequest, known: readonly string[] = ['before']): { before?: Date } {
  const { searchParams } = new URL(request.url);
  for (const name of new Set(searchParams.keys())) {
    if (!known.includes(name) || searchParams.getAll(name).length > 1) {
      throw new InvalidInputError(
        `The parameter \`${name}\` is not known here or given twice, so nothing was deleted.`,
      );
    }
  }
  const text = searchParams.get('before');
  if (text === null) return {};
  const before = dateOf(text);
  if (before === undefined) {
    throw new InvalidInputError(
      '`before` must be a date such as 2026-11-23 or 2026-11-23T12:00:00Z. A plus sign is written as %2B.',
    );
  }
  return { before };
}

/** Undefined if the text is no date. */
export function dateOf(text: string): Date | undefined {
  const date = new Date(text);
  return isoDate.test(text) && !Number.isNaN(date.getTime()) ? date : undefined;
}
