/** A key, alone or with the project that it belongs to. Gemini counts quotas per project, not per key. */
export type KeySpec = string | { readonly key: string; readonly project?: string | undefined };

/** Below this many characters the last four would give too much of a key away. */
const shortestShownKey = 12;

/**
 * The name under which a key is shown: `key_1_...w2Do`, its position (from 1) and last four
 * characters; keys of fewer than 12 characters show `****`.
 */
export function maskKey(position: number, value: string): string {
  return `key_${position}_...${value.length < shortestShownKey ? '****' : value.slice(-4)}`;
}
