import { z } from 'zod';
import { ConfigurationError } from './errors.js';

type Issue = z.core.$ZodIssue;

/** A value can have as many issues as it has elements. */
const maxIssues = 10;
const maxIssueChars = 500;

/** `path: message` of the first issues, in one line. */
export function describeIssues(error: z.ZodError): string {
  const { issues } = error;
  const sentences = issues.slice(0, maxIssues).flatMap((issue) => describeIssue(issue, []));
  const shown = sentences.slice(0, maxIssues).map(shorten);
  const left = Math.max(issues.length, sentences.length) - shown.length;
  return [...shown, ...(left > 0 ? [`and ${left} more`] : [])].join('; ');
}

const shorten = (sentence: string) =>
  sentence.length > maxIssueChars ? `${sentence.slice(0, maxIssueChars)}…` : sentence;

function describeIssue(issue: Issue, parents: readonly PropertyKey[]): readonly string[] {
  const path = [...parents, ...issue.path];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The variant that the value was meant as: the one whose fields are wrong, and not the value as a whole.
    const meant = issue.errors.find((issues) => issues.every(isInside));
    if (meant !== undefined) return meant.flatMap((inner) => describeIssue(inner, path));
    const messages = new Set(issue.errors.flat().map(({ message }) => message));
    return [at(path, [...messages].join(', or '))];
  }
  return [at(path, issue.message)];
}

const isInside = ({ code, path }: Issue) => path.length > 0 || code === 'unrecognized_keys';

const at = (path: readonly PropertyKey[], message: string) =>
  path.length > 0 ? `\`${path.map(String).join('.')}\`: ${message}` : message;

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
