import { z } from 'zod';
import { nonBlank } from '../core/parse-options.js';

/** A key, alone or with the project that it belongs to. Gemini counts quotas per project, not per key. */
export type KeySpec = string | { readonly key: string; readonly project?: string | undefined };

export const keySpecSchema = z.union([
  nonBlank,
  z.strictObject({ key: nonBlank, project: nonBlank.optional() }),
]) satisfies z.ZodType<unknown, KeySpec>;

/** The last four characters of a shorter key would give too much of it away. */
const shortestShownKey = 12;

/**
 * The name under which a key is shown: `key_1_...w2Do`, its position (from 1) and last four
 * characters; keys of fewer than 12 characters show `****`.
 */
export function maskKey(position: number, value: string): string {
  return `key_${position}_...${value.length < shortestShownKey ? '****' : value.slice(-4)}`;
}
