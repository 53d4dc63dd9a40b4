import { z } from 'zod';
import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';

/** A yes or no of JSON or of a form. */
export const flag = z.union([z.boolean(), z.stringbool(), z.literal('').transform(() => false)]).nullish();

/** @throws HttpError 415 */
export function refuseCompressed(request: HttpRequest): void {
  const encoding = request.headers.get('content-encoding') ?? 'identity';
  if (encoding.toLowerCase() === 'identity') return;
  throw new HttpError(
    415,
    'UNSUPPORTED_ENCODING',
    'Compressed bodies are not supported. Send the body uncompressed.',
  );
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const pick = (from: Readonly<Record<string, unknown>>, names: readonly string[]) =>
  Object.fromEntries(names.filter((name) => Object.hasOwn(from, name)).map((name) => [name, from[name]]));
