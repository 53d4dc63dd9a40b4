import { type AbortOptions, raceAbort } from '../../core/abort.js';
import { ExponentialBackoff } from '../../core/backoff.js';
import { type Clock, systemClock } from '../../core/clock.js';
import { ClosedError, MemoryError } from '../../core/errors.js';
import type { Embedder } from '../embedder.js';

/** A stored turn whose vector is still to be made. */
export interface Unembedded<Key> {
  readonly key: Key;
  readonly text: string;
}

/** Where a backlog finds its work and puts the result. */
export interface EmbeddingSource<Key> {
  /** At most `limit` turns without a vector of the current embedder, oldest first. */
  next(limit: number): Promise<readonly Unembedded<Key>[]>;
  /** Must skip turns that were forgotten meanwhile. */
  store(vectors: readonly { readonly key: Key; readonly vector: Float32Array }[]): Promise<void>;
}

export interface DrainOptions extends AbortOptions {
  /** Called after every batch that is stored. */
  readonly onBatch?: (() => void) | undefined;
}

const batchSize = 64;
const pauses = { initialMs: 1_000, maxMs: 60_000 };

/**
 * Makes the vectors of stored turns in the background. A failing embedder costs nothing but time: the
 * turns stay in the source and are tried again after a pause that doubles, or at once on `drain`.
 */
export class EmbeddingBacklog<Key> {
  readonly #embedder: Embedder;
  readonly #source: EmbeddingSource<Key>;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  /** Turns that the embedder refuses although it serves others; skipped until the next start. */
  readonly #refused = new Set<Key>();
  readonly #watching = new Set<() => void>();
  #running: Promise<void> | undefined;
  /** Work runs one at a time, so that nothing is embedded twice. */
  #lastWork: Promise<unknown> = Promise.resolve();
  #wokenWhileRunning = false;
  readonly #backoff = new ExponentialBackoff(pauses);
  #timer: unknown;

  constructor(embedder: Embedder, source: EmbeddingSource<Key>, clock: Clock = systemClock) {
    this.#embedder = embedder;
    this.#source = source;
    this.#clock = clock;
  }

  /** Starts working, unless it pauses after a failure. */
  wake(): void {
    if (this.#timer !== undefined || this.#stop.signal.aborted) return;
    if (this.#running) {
      this.#wokenWhileRunning = true;
      return;
    }
    this.#running = this.#workAlone()
      .catch(() => this.#pause())
      .finally(() => {
        this.#running = undefined;
        if (this.#wokenWhileRunning) {
          this.#wokenWhileRunning = false;
          this.wake();
        }
      });
  }

  /**
   * Resolves when no work is left; rejects if the embedder or the store fails. After an abort the
   * background does the rest.
   *
   * @param onBatch Called after every batch that is stored meanwhile, for this call or another.
   */
  async drain({ signal, onBatch }: DrainOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    this.#clearPause();
    const work = this.#workAlone(signal);
    if (onBatch) this.#watching.add(onBatch);
    try {
      await raceAbort(work, signal);
      this.#clearPause();
    } catch (cause) {
      if (signal?.aborted) {
        this.wake();
        throw signal.reason;
      }
      this.#stop.signal.throwIfAborted();
      throw new MemoryError(
        'Some turns have no embedding yet because the embedder failed; they are stored, are found by their words, and are tried again later.',
        { cause },
      );
    } finally {
      if (onBatch) this.#watching.delete(onBatch);
    }
  }

  /** Tries the turns again that the embedder refused. */
  retryRefused(): void {
    this.#refused.clear();
  }

  async close(): Promise<void> {
    this.#stop.abort(new ClosedError('memory store'));
    this.#clearPause();
    await this.#running;
    await this.#lastWork;
  }

  #workAlone(signal?: AbortSignal): Promise<void> {
    const work = this.#lastWork.then(() => this.#work(signal));
    this.#lastWork = work.catch(() => undefined);
    return work;
  }

  async #work(signal?: AbortSignal): Promise<void> {
    while (!this.#stop.signal.aborted && !signal?.aborted) {
      const found = await this.#source.next(batchSize + this.#refused.size);
      const batch = found.filter(({ key }) => !this.#refused.has(key)).slice(0, batchSize);
      if (batch.length === 0) break;
      await this.#embed(batch);
      this.#backoff.reset();
      for (const onBatch of this.#watching) onBatch();
    }
  }

  async #embed(batch: readonly Unembedded<Key>[]): Promise<void> {
    try {
      await this.#embedTogether(batch);
    } catch (error) {
      if (batch.length === 1) throw error;
      await this.#embedApart(batch, error);
    }
  }

  async #embedTogether(batch: readonly Unembedded<Key>[]): Promise<void> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const texts = batch.map(({ text }) => text);
    // An embedder that ignores its signal must not hold up `close`.
    const vectors = await raceAbort(this.#embedder.embed(texts, { purpose: 'document', signal }), signal);
    checkVectors(vectors, texts.length, this.#embedder);
    signal.throwIfAborted();
    await this.#source.store(batch.map(({ key }, at) => ({ key, vector: vectors[at] as Float32Array })));
  }

  /** Finds the turns that fail a batch. If none passes, the embedder itself is down. */
  async #embedApart(batch: readonly Unembedded<Key>[], batchError: unknown): Promise<void> {
    const refused: Key[] = [];
    for (const [at, item] of batch.entries()) {
      try {
        await this.#embedTogether([item]);
      } catch {
        this.#stop.signal.throwIfAborted();
        refused.push(item.key);
        if (at === 1 && refused.length === 2) throw batchError;
      }
    }
    for (const key of refused) this.#refused.add(key);
  }

  #pause(): void {
    if (this.#stop.signal.aborted) return;
    const resume = () => {
      this.#timer = undefined;
      this.wake();
    };
    this.#timer = this.#clock.setTimeout(resume, this.#backoff.next(), { isBackground: true });
  }

  #clearPause(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** @throws MemoryError if an embedder breaks its contract. */
export function checkVectors(vectors: readonly Float32Array[], count: number, embedder: Embedder): void {
  if (vectors.length !== count) {
    throw new MemoryError(
      `The embedder ${embedder.model} gave ${vectors.length} vectors for ${count} texts.`,
    );
  }
  const odd = vectors.find((vector) => vector.length !== embedder.dimensions);
  if (odd) {
    throw new MemoryError(
      `The embedder ${embedder.model} gave a vector of ${odd.length} numbers but declares ${embedder.dimensions} dimensions.`,
    );
  }
}
