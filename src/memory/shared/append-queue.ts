interface Waiting<T> {
  readonly item: T;
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes items in the order in which they were added, one batch at a time: items that arrive together,
 * or while a batch is written, share the next one. If a batch fails, its items are written one by one,
 * so that an item that cannot be written fails alone.
 */
export class AppendQueue<T> {
  readonly #write: (batch: readonly T[]) => Promise<void>;
  readonly #largestBatch: number;
  readonly #waiting: Waiting<T>[] = [];
  #writing: Promise<void> | undefined;

  constructor(write: (batch: readonly T[]) => Promise<void>, options: { readonly largestBatch: number }) {
    this.#write = write;
    this.#largestBatch = options.largestBatch;
  }

  /** Resolves when the item is written. An abort has no effect once its batch has begun. */
  add(item: T, signal?: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ item, signal, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Resolves when everything added so far is written or has failed. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Lets the items of this tick gather.
      await Promise.resolve();
      await this.#writeBatch(this.#waiting.splice(0, this.#largestBatch));
    }
    this.#writing = undefined;
  }

  async #writeBatch(batch: readonly Waiting<T>[]): Promise<void> {
    const wanted = batch.filter(({ signal, reject }) => {
      if (signal?.aborted) reject(signal.reason);
      return !signal?.aborted;
    });
    if (wanted.length === 0) return;
    try {
      await this.#write(wanted.map(({ item }) => item));
      for (const { resolve } of wanted) resolve();
    } catch (error) {
      if (wanted.length === 1) wanted[0]?.reject(error);
      else for (const waiting of wanted) await this.#writeBatch([waiting]);
    }
  }
}
