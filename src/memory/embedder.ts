import type { AbortOptions } from '../core/abort.js';

/**
 * Turns texts into vectors whose cosine tells how near they are in meaning.
 *
 * An implementer owes one vector of `dimensions` numbers per text, in order, of length 1 (the caller
 * does not normalise). Vectors of different `model`s are never compared.
 *
 * Shipped: `GeminiEmbedder`.
 */
export interface Embedder {
  readonly model: string;
  readonly dimensions: number;
  embed(
    texts: readonly string[],
    options: AbortOptions & { readonly purpose: 'document' | 'query' },
  ): Promise<readonly Float32Array[]>;
}
