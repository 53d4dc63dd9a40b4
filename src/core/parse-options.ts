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
  if (issue.code === 'invalid_union' && issue.errors.length > 0 && issue.message === unspecific) {
    // The variant that the value was meant as: the one whose fields are wrong, and not the value as a whole.
    const meant = issue.errors.find((issues) => issues.every(isInside));
    if (meant !== undefined) return meant.flatMap((inner) => describeIssue(inner, path));
    const messages = new Set(issue.errors.flat().map(({ message }) => message));
    return [at(path, [...messages].join(', or '))];
  }
  return [at(path, issue.message)];
}

/** What zod says of a union that has no message of its own. */
const unspecific = 'Invalid input';

const isInside = ({ code, path }: Issue) => path.length > 0 || code === 'unrecognized_keys';

const at = (path: readonly PropertyKey[], message: string) =>
  path.length > 0 ? `\`${path.map(String).join('.')}\`: ${message}` : message;

/**
 * What unknown names were probably meant as, in sentences: known ones that are spelled like `session_id`, and
 * names that other libraries use.
 *
 * @param elsewhere Other names for what is known, without capitals and underscores, each with what to write.
 */
export function suggestNames(
  error: z.ZodError,
  known: object,
  elsewhere: Readonly<Record<string, string>> = {},
): string {
  const plain = (text: string) => text.replaceAll(/[^a-z0-9]/gi, '').toLowerCase();
  const meant = error.issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys' || issue.path.length > 0) return [];
    return issue.keys.flatMap((key) => {
      const name = Object.keys(known).find((each) => plain(each) === plain(key));
      if (name !== undefined) return [`\`${name}\``];
      return Object.hasOwn(elsewhere, plain(key)) ? [elsewhere[plain(key)]] : [];
    });
  });
  return [...new Set(meant)].map((name) => ` Did you mean ${name}?`).join('');
}

/**
 * Validates the options of one part and fills in its defaults.
 *
 * @param part Name of the part, for the message: `DefaultMediaProcessor`.
 * @param elsewhere As for `suggestNames`.
 * @throws ConfigurationError that names every option that is wrong or unknown.
 */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  options: unknown,
  part: string,
  elsewhere?: Readonly<Record<string, string>>,
): z.output<Schema> {
  const result = schema.safeParse(options ?? {});
  if (result.success) return result.data;
  const known = schema instanceof z.ZodObject ? schema.shape : {};
  const meant = suggestNames(result.error, known, elsewhere);
  throw new ConfigurationError(
    `The options of ${part} are not valid: ${describeIssues(result.error)}.${meant}`,
  );
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
