import { linkedController, onAbort } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { ClosedError, ModelCallError } from '../../core/errors.js';
import { type Failure, isRoutedByPool } from '../../core/failure.js';
import { parseOptions } from '../../core/parse-options.js';
import { Redactor } from '../../core/redact.js';
import type { KeyPool } from '../../keys/key-pool.js';
import type { Embedder } from '../../memory/embedder.js';
import { AttemptWatch } from './attempt-watch.js';
import { GeminiClients } from './gemini-clients.js';
import { type GeminiEmbedderOptions, geminiEmbedderOptionsSchema } from './gemini-embedder-options.js';
import { GeminiExchange } from './gemini-exchange.js';
import { estimateEmbeddingTokens, formatForEmbedding } from './request/embedding-text.js';

/** Limit of `batchEmbedContents`. */
const maxTextsPerBatch = 100;

/** Attempts at one batch, each with another key. */
const maxAttempts = 4;

type EmbedOptions = Parameters<Embedder['embed']>[1];

const abandoned: Failure = {
  kind: 'incomplete',
  scope: 'call',
  message: 'The caller stopped waiting for the embedding.',
};

/** Scales a vector to length 1. Models before `gemini-embedding-2` return shortened vectors unscaled. */
function normalize(values: readonly number[]): Float32Array {
  const vector = Float32Array.from(values);
  let squares = 0;
  for (const value of values) squares += value * value;
  const length = Math.sqrt(squares);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/**
 * Gemini embeddings through `@google/genai`, with keys of a pool.
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

  readonly #closing = new AbortController();

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: GeminiEmbedderOptions) {
    const parsed = parseOptions(geminiEmbedderOptionsSchema, options, 'GeminiEmbedder');
    this.model = parsed.model;
    this.dimensions = parsed.dimensions;
    this.#keyPool = parsed.keyPool;
    this.#timeoutMs = parsed.timeoutMs;
    this.#clock = parsed.clock;
    this.#clients = new GeminiClients(parsed);
  }

  /**
   * One vector of length 1 per text, in order.
   *
   * @throws ModelCallError if Gemini failed the call for another reason than one key.
   * @throws KeyPoolExhaustedError if no key can serve.
   * @throws ClosedError if the embedder is closed, or is closed during the call.
   */
  async embed(texts: readonly string[], options: EmbedOptions): Promise<readonly Float32Array[]> {
    this.#closing.signal.throwIfAborted();
    const link = linkedController(options.signal);
    const unsubscribe = onAbort(this.#closing.signal, (reason) => link.controller.abort(reason));
    const { purpose } = options;
    const vectors: Float32Array[] = [];
    try {
      for (let start = 0; start < texts.length; start += maxTextsPerBatch) {
        const batch = texts.slice(start, start + maxTextsPerBatch);
        vectors.push(...(await this.#embedBatch(batch, { purpose, signal: link.signal })));
      }
    } finally {
      link.unlink();
      unsubscribe();
    }
    return vectors;
  }

  /** Calls in progress throw `ClosedError`. The key pool stays open. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError('embedder'));
    this.#clients.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #embedBatch(
    texts: readonly string[],
    { purpose, signal }: EmbedOptions,
  ): Promise<readonly Float32Array[]> {
    const formatted = formatForEmbedding(texts, purpose, this.model);
    const request = {
      model: this.model,
      estimatedTokens: estimateEmbeddingTokens(formatted.texts),
      priority: purpose === 'query' ? 'interactive' : 'batch',
    } as const;
    for (let attempt = 1; ; attempt++) {
      const lease = await this.#keyPool.acquire(request, { signal });
      const progress = { wasSent: false };
      try {
        const vectors = await this.#call(formatted, lease.key.value, signal, progress);
        lease.settle({ ok: true });
        return vectors;
      } catch (error) {
        const failure = ModelCallError.isInstance(error) ? error.failure : abandoned;
        lease.settle({ ok: false, failure, sent: progress.wasSent });
        if (attempt >= maxAttempts || !isRoutedByPool(failure)) throw error;
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
    const redactor = new Redactor(() => [
      apiKey,
      ...this.#clients.secrets,
      ...(this.#keyPool.secrets?.() ?? []),
    ]);
    const exchange = new GeminiExchange(watch.signal, redactor, this.#clients.fetch);
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
      // For servers that ignore `outputDimensionality`: the first dimensions of a Matryoshka embedding are one.
      return vectors.map((vector) => normalize(vector.slice(0, this.dimensions)));
    } catch (error) {
      watch.signal.throwIfAborted();
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
