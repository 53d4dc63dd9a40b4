import type { AbortOptions } from '../core/abort.js';

/**
 * Turns texts into vectors whose cosine measures how near they are in meaning.
 *
 * An implementer owes:
 * - one vector of `dimensions` numbers per text, in order, of length 1: the caller does not normalize.
 *   A text without content may get zeros.
 * - any number of texts, split into requests as the service needs, and texts of any length and content.
 * - the same vector for the same text and purpose. Vectors of different `model`s are never compared, so
 *   whatever changes the vectors changes `model`.
 * - any number of concurrent calls. An abort rejects with `signal.reason`.
 *
 * A failure costs nothing but ranking: stores recall by words until the vectors are there.
 *
 * Shipped: {@link GeminiEmbedder}. It passes `embedderContract` from `multimodal-chat/testing`.
 */
export interface Embedder {
  /** Stored with the vectors, to tell them from those of other models. */
  readonly model: string;
  /** Length of the vectors. */
  readonly dimensions: number;
  /** @param options.purpose `document` for texts to be found, `query` for what to find them with. */
  embed(
    texts: readonly string[],
    options: AbortOptions & { readonly purpose: 'document' | 'query' },
  ): Promise<readonly Float32Array[]>;
}
