import type { AbortOptions } from '../core/abort.js';
import type { Embedder } from '../memory/embedder.js';
import { embedByHashing } from './gemini-emulator/embed/hashed-embedding.js';

/**
 * An `Embedder` that hashes words: deterministic, without a network, and near for texts that share
 * words. The Gemini emulator embeds in the same way.
 */
export class FakeEmbedder implements Embedder {
  readonly model = 'hashed-words';
  readonly dimensions: number;
  readonly #calls: { texts: readonly string[]; purpose: 'document' | 'query' }[] = [];

  /** @param dimensions Default 256. */
  constructor(dimensions = 256) {
    this.dimensions = dimensions;
  }

  /** The calls so far, oldest first. */
  get calls(): readonly { readonly texts: readonly string[]; readonly purpose: 'document' | 'query' }[] {
    return this.#calls;
  }

  async embed(
    texts: readonly string[],
    { purpose, signal }: AbortOptions & { readonly purpose: 'document' | 'query' },
  ): Promise<readonly Float32Array[]> {
    signal?.throwIfAborted();
    this.#calls.push({ texts, purpose });
    return texts.map((text) => embedByHashing(text, this.dimensions));
  }
}
