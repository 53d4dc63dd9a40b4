import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { AbortOptions } from '../../core/abort.js';
import type { Embedder } from '../embedder.js';

type Purpose = 'document' | 'query';

/** Besides the numbers of a vector: its objects, its key, its place in the cache. */
const overheadBytes = 400;

/** An embedder that embeds a text once, while it is among the texts used last. */
export class EmbeddingCache implements Embedder {
  readonly model: string;
  readonly dimensions: number;
  readonly #embedder: Embedder;
  readonly #vectors: LRUCache<string, Float32Array>;
  #generation = 0;

  /** @param options.maxBytes For the vectors and their overhead. */
  constructor(embedder: Embedder, options: { readonly maxBytes: number }) {
    this.model = embedder.model;
    this.dimensions = embedder.dimensions;
    this.#embedder = embedder;
    this.#vectors = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: (vector) => vector.byteLength + overheadBytes,
    });
  }

  /** Vectors in the cache. */
  get size(): number {
    return this.#vectors.size;
  }

  async embed(
    texts: readonly string[],
    options: AbortOptions & { readonly purpose: Purpose },
  ): Promise<readonly Float32Array[]> {
    const generation = this.#generation;
    const keys = texts.map((text) => cacheKey(options.purpose, text));
    const found = new Map<string, Float32Array>();
    const missing = new Map<string, string>();
    for (const [at, key] of keys.entries()) {
      const vector = this.#vectors.get(key);
      if (vector) found.set(key, vector);
      else missing.set(key, texts[at] as string);
    }
    if (missing.size > 0) {
      const made = await this.#embedder.embed([...missing.values()], options);
      // The caller checks the number of vectors and reports a broken contract.
      if (made.length !== missing.size) return made;
      for (const [at, key] of [...missing.keys()].entries()) {
        found.set(key, made[at] as Float32Array);
        if (generation === this.#generation) this.#vectors.set(key, made[at] as Float32Array);
      }
    }
    return keys.map((key) => found.get(key) as Float32Array);
  }

  /** Vectors that are being made are not cached either. */
  clear(): void {
    this.#generation++;
    this.#vectors.clear();
  }
}

/** A hash: the text itself would outlive its turn. */
function cacheKey(purpose: Purpose, text: string): string {
  return createHash('sha256').update(purpose).update(Buffer.from(text, 'utf16le')).digest('base64');
}
