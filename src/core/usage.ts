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
