import { z } from 'zod';
import { ConfigurationError } from './errors.js';

/** `path: message` of every issue, in one line. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => (issue.path.length > 0 ? `\`${issue.path.join('.')}\`: ${issue.message}` : issue.message))
    .join('; ');
}

/**
 * Validates the options of one part and fills in its defaults.
 *
 * @param part Name of the part, for the message: `DefaultMediaProcessor`.
 * @throws ConfigurationError that names every option that is wrong or unknown.
 */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  options: unknown,
  part: string,
): z.output<Schema> {
  const result = schema.safeParse(options ?? {});
  if (result.success) return result.data;
  throw new ConfigurationError(`The options of ${part} are not valid: ${describeIssues(result.error)}.`);
}

/** Accepts an object with the given methods: injected parts are recognized by their methods, not by their class. */
export const partWith = <T>(role: string, ...methods: readonly string[]) =>
  z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
    `must be a ${role}: an object with ${methods.map((method) => `${method}()`).join(', ')}`,
  );

/** Integer, at least 0. */
export const count = z.number().int().min(0);
/** Integer, at least 1. */
export const atLeastOne = z.number().int().min(1);
/** Milliseconds, more than 0. */
export const durationMs = z.number().positive();
/** A name, path or key: text that is not blank. */
export const nonBlank = z.string().trim().min(1);
