import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { systemClock } from '../../core/clock.js';
import { ModelCallError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import { Redactor } from '../../core/redact.js';
import type { KeyPool } from '../../keys/key-pool.js';
import type { Embedder } from '../../memory/embedder.js';
import { AttemptWatch } from './attempt-watch.js';
import { defaultEmbeddingDimensions, defaultEmbeddingModel } from './default-models.js';
import type { EmbeddingPurpose } from './embedding-text.js';
import { estimateEmbeddingTokens, formatForEmbedding } from './embedding-text.js';
import type { GeminiEndpoint } from './gemini-clients.js';
import { GeminiClients } from './gemini-clients.js';
import { GeminiExchange } from './gemini-exchange.js';

export interface GeminiEmbedderOptions extends GeminiEndpoint {
  /** Where the keys come from; one is leased per batch. */
  readonly keyPool: KeyPool;
  /** Default `gemini-embedding-2`. */
  readonly model?: string | undefined;
  /** Length of the vectors, 128 to 3,072. Default 768. */
  readonly dimensions?: number | undefined;
  /** How long one batch may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Default the machine's. */
  readonly clock?: Clock | undefined;
}

/** The most texts that one `batchEmbedContents` takes. */
const mostTextsPerBatch = 100;

/** Tries of one batch when the pool can offer another key. */
const mostAttempts = 4;

/** After these the pool hands out another key. */
const scopesWithAnotherKey: ReadonlySet<Failure['scope']> = new Set(['key', 'project-model', 'project']);

const abandoned: Failure = {
  kind: 'incomplete',
  scope: 'call',
  message: 'The caller stopped waiting for the embedding.',
};

/** Scales a vector to length 1; models before `gemini-embedding-2` do not do so when it is cut. */
function normalise(values: readonly number[]): Float32Array {
  const vector = Float32Array.from(values);
  let squares = 0;
  for (const value of values) squares += value * value;
  const length = Math.sqrt(squares);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/**
 * Embeddings of Gemini through `@google/genai`, with keys of a pool.
 *
 * @example
 * ```ts
 * const embedder = new GeminiEmbedder({ keyPool });
 * const [vector] = await embedder.embed(['the red boat'], { purpose: 'query' });
 * ```
 */
export class GeminiEmbedder implements Embedder {
  readonly model: string;
  readonly dimensions: number;
  readonly #keyPool: KeyPool;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #clients: GeminiClients;

  /** @throws ConfigurationError when the base URL is not one. */
  constructor(options: GeminiEmbedderOptions) {
    this.model = options.model ?? defaultEmbeddingModel;
    this.dimensions = options.dimensions ?? defaultEmbeddingDimensions;
    this.#keyPool = options.keyPool;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#clock = options.clock ?? systemClock;
    this.#clients = new GeminiClients(options);
  }

  /**
   * One vector of length 1 per text, in order.
   *
   * @throws ModelCallError when Gemini failed the call for another reason than one key.
   * @throws KeyPoolExhaustedError when no key can serve.
   */
  async embed(
    texts: readonly string[],
    options: AbortOptions & { readonly purpose: EmbeddingPurpose },
  ): Promise<readonly Float32Array[]> {
    const vectors: Float32Array[] = [];
    for (let start = 0; start < texts.length; start += mostTextsPerBatch) {
      vectors.push(...(await this.#embedBatch(texts.slice(start, start + mostTextsPerBatch), options)));
    }
    return vectors;
  }

  async #embedBatch(
    texts: readonly string[],
    options: AbortOptions & { readonly purpose: EmbeddingPurpose },
  ): Promise<readonly Float32Array[]> {
    const formatted = formatForEmbedding(texts, options.purpose, this.model);
    const need = {
      model: this.model,
      estimatedTokens: estimateEmbeddingTokens(formatted.texts),
      priority: options.purpose === 'query' ? 'interactive' : 'batch',
    } as const;
    for (let attempt = 1; ; attempt++) {
      const lease = await this.#keyPool.acquire(need, { signal: options.signal });
      const progress = { wasSent: false };
      try {
        const vectors = await this.#call(formatted, lease.key.value, options.signal, progress);
        lease.settle({ ok: true });
        return vectors;
      } catch (error) {
        const failure = ModelCallError.isInstance(error) ? error.failure : abandoned;
        lease.settle({ ok: false, failure, sent: progress.wasSent });
        if (attempt >= mostAttempts || !scopesWithAnotherKey.has(failure.scope)) throw error;
      }
    }
  }

  async #call(
    { taskType, texts }: ReturnType<typeof formatForEmbedding>,
    apiKey: string,
    signal: AbortSignal | undefined,
    progress: { wasSent: boolean },
  ): Promise<readonly Float32Array[]> {
    const limits = { firstTokenMs: Infinity, betweenChunksMs: Infinity, totalMs: this.#timeoutMs };
    const watch = new AttemptWatch(this.#clock, limits, signal);
    const redactor = new Redactor(() => [apiKey, ...(this.#keyPool.secrets?.() ?? [])]);
    const exchange = new GeminiExchange(watch.signal, redactor);
    let isAnswered = false;
    try {
      const client = await this.#clients.get(apiKey);
      const response = await client.models.embedContent({
        model: this.model,
        // One content per text: a plain list of strings becomes a single vector with this model.
        contents: texts.map((text) => ({ parts: [{ text }] })),
        config: {
          outputDimensionality: this.dimensions,
          ...(taskType === undefined ? {} : { taskType }),
          httpOptions: { fetch: exchange.fetch },
        },
      });
      isAnswered = true;
      const vectors = (response.embeddings ?? []).map((embedding) => embedding.values ?? []);
      this.#check(vectors, texts.length);
      // A server that does not cut by itself: the first dimensions stand for the whole (Matryoshka).
      return vectors.map((vector) => normalise(vector.slice(0, this.dimensions)));
    } catch (error) {
      const explained = watch.explain();
      if (explained) throw explained.thrown;
      throw exchange.toPublicError(error);
    } finally {
      progress.wasSent = exchange.wasSent;
      watch.close(isAnswered);
    }
  }

  #check(vectors: readonly (readonly number[])[], expected: number): void {
    if (vectors.length === expected && vectors.every((vector) => vector.length >= this.dimensions)) return;
    throw new ModelCallError({
      kind: 'incomplete',
      scope: 'call',
      reason: 'WRONG_SHAPE',
      message:
        `${this.model} gave ${vectors.length} vectors for ${expected} texts, with ${vectors[0]?.length ?? 0} ` +
        `dimensions where ${this.dimensions} were asked for: choose another embedding model or length.`,
    });
  }
}
