/** Tokens that a reply cost, as the provider reported them. What it did not report is absent. */
export interface Usage {
  readonly inputTokens?: number | undefined;
  /** Visible output, without thoughts. */
  readonly outputTokens?: number | undefined;
  readonly thoughtTokens?: number | undefined;
  readonly totalTokens?: number | undefined;
  /** The part of `inputTokens` that came from a cache. */
  readonly cachedInputTokens?: number | undefined;
  /** Input that the provider's built-in tools added, such as pages that were read. */
  readonly toolTokens?: number | undefined;
}

/** Counts that neither reported stay absent. */
export function addUsage(first: Usage | undefined, second: Usage | undefined): Usage | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const sum: Record<string, number> = {};
  for (const [name, count] of [...Object.entries(first), ...Object.entries(second)]) {
    if (typeof count === 'number') sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}
