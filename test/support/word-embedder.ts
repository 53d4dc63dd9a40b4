import { raceAbort } from '../../src/core/abort.js';
import type { Embedder } from '../../src/memory/embedder.js';

/**
 * An embedder that needs no network: words are hashed into buckets, and groups of synonyms share one,
 * so that texts are near that have no word in common. Can be made to fail or to hang.
 */
export class WordEmbedder implements Embedder {
  readonly model: string;
  readonly dimensions: number;
  readonly embedded: string[] = [];
  failWith: Error | undefined;
  /** Texts that are refused even while others are served. */
  refuses: ((text: string) => boolean) | undefined;
  hang = false;
  readonly #synonyms: readonly (readonly string[])[];

  constructor(
    options: { model?: string; dimensions?: number; synonyms?: readonly (readonly string[])[] } = {},
  ) {
    this.model = options.model ?? 'word-embedder';
    this.dimensions = options.dimensions ?? 64;
    this.#synonyms = options.synonyms ?? [];
  }

  async embed(
    texts: readonly string[],
    { signal }: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly Float32Array[]> {
    if (this.hang) {
      await raceAbort(new Promise<never>(() => undefined), signal);
    }
    if (this.failWith) throw this.failWith;
    if (texts.some((text) => this.refuses?.(text))) throw new Error('refused text');
    this.embedded.push(...texts);
    return texts.map((text) => this.#vector(text));
  }

  #vector(text: string): Float32Array {
    const vector = new Float32Array(this.dimensions);
    for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
      const concept = this.#synonyms.find((group) => group.includes(word))?.[0] ?? word;
      let hash = 7;
      for (const character of concept) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
      const bucket = hash % this.dimensions;
      vector[bucket] = (vector[bucket] ?? 0) + 1;
    }
    const length = Math.hypot(...vector) || 1;
    return vector.map((component) => component / length);
  }
}
