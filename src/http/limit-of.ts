import { InvalidInputError } from '../index.js';
import type { HttpRequest } from './http-messages.js';

const defaultLimit = 50;
const maxLimit = 500;

/** How many turns or sessions a request asks for. @throws InvalidInputError */
export function limitOf(request: HttpRequest): number {
  const limit = new URL(request.url).searchParams.get('limit');
  if (limit === null) return defaultLimit;
  if (!/^[1-9]\d{0,5}$/.test(limit))
    throw new InvalidInputError('`limit` must be a whole number, 1 or more.');
  return Math.min(Number(limit), maxLimit);
}
