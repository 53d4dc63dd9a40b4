import { z } from 'zod';
import { nonBlank } from '../core/parse-options.js';

/** A key, alone or with the project that it belongs to. Gemini counts quotas per project, not per key. */
export type KeySpec = string | { readonly key: string; readonly project?: string | undefined };

const hint = 'check that its environment variable is set';
const unset = ({ input }: { readonly input?: unknown }) =>
  input === undefined || input === null ? `is ${input}; ${hint}` : undefined;
const value = z.string({ error: unset }).trim().min(1, `is empty; ${hint}`);

export const keySpecSchema = z.union(
  [value, z.strictObject({ key: value, project: nonBlank.optional() }, { error: unset })],
  { error: unset },
) satisfies z.ZodType<unknown, KeySpec>;

/** The last four characters of a shorter key would give too much of it away. */
const shortestShownKey = 12;

/**
 * The name under which a key is shown: `key_1_...w2Do`, its position (from 1) and last four
 * characters; keys of fewer than 12 characters show `****`.
 */
export function maskKey(position: number, value: string): string {
  return `key_${position}_...${value.length < shortestShownKey ? '****' : value.slice(-4)}`;
}
