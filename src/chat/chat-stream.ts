import type { ChatStreamEvent, Reply } from '../turn/reply.js';

/** Marks in a text stream that the answer begins again. */
const restartMark = '\n\n[The answer broke off and starts again.]\n\n';

const leftEarly = () => new DOMException('The answer was left before its end.', 'AbortError');

/**
 * One answer as it comes: iterate it for events, `textStream` for the text alone, or await `reply`. The call
 * starts with the first of these. Leaving a loop early cancels it.
 *
 * A loop alone reads the answer as fast as it takes the events. Once `reply` was asked for, the answer is
 * read to its end, and events that no loop has taken yet wait in memory.
 */
export class ChatStream<Answered extends Reply = Reply>
  implements AsyncIterableIterator<ChatStreamEvent>, AsyncDisposable
{
  readonly #source: AsyncGenerator<ChatStreamEvent, void, undefined>;
  readonly #abort: (reason: unknown) => void;
  /** Events that were read ahead for `reply`. */
  readonly #buffered: ChatStreamEvent[] = [];
  readonly #readers: {
    resolve(result: IteratorResult<ChatStreamEvent, void>): void;
    reject(error: unknown): void;
  }[] = [];
  #reply: Promise<Answered> | undefined;
  #done: Answered | undefined;
  #failure: { readonly error: unknown } | undefined;
  #hasThrown = false;
  #hasEnded = false;

  /** @param abort Aborts the call behind `source`. */
  constructor(source: AsyncGenerator<ChatStreamEvent, void, undefined>, abort: (reason: unknown) => void) {
    this.#source = source;
    this.#abort = abort;
  }

  /**
   * The finished answer. Asking for it reads the answer to its end.
   *
   * Rejects with what the iteration throws; with an `AbortError` if a loop was left before the end.
   */
  get reply(): Promise<Answered> {
    if (this.#reply === undefined) {
      this.#reply = this.#readToEnd();
      // A loop over the events throws the same error, so nobody has to await this promise.
      this.#reply.catch(() => undefined);
    }
    return this.#reply;
  }

  /**
   * The text of the answer in pieces. After a `restart` that takes back text it goes on with a line that says
   * so, since what was shown cannot be taken back; use the events where that matters.
   */
  get textStream(): AsyncGenerator<string, void, undefined> {
    return this.#texts();
  }

  /** Stops the answer: the iteration and `reply` reject with `reason`. Default: an `AbortError`. */
  cancel(reason: unknown = new DOMException('The answer was cancelled.', 'AbortError')): void {
    if (this.#hasEnded || this.#done !== undefined) return;
    this.#abort(reason);
    // Somebody has to read the end, so that the call is over even if no loop goes on.
    void this.reply;
  }

  next(): Promise<IteratorResult<ChatStreamEvent, void>> {
    const event = this.#buffered.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#hasEnded) return this.#afterEnd();
    if (this.#reply === undefined) return this.#read();
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  /** Called by a loop that is left early. */
  async return(): Promise<IteratorResult<ChatStreamEvent, void>> {
    this.#buffered.length = 0;
    if (this.#done === undefined && !this.#hasEnded) this.#abort(leftEarly());
    this.#hasEnded = true;
    this.#hasThrown = true;
    await this.#source.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async *#texts(): AsyncGenerator<string, void, undefined> {
    let hasText = false;
    for await (const event of this) {
      if (event.type === 'text') {
        hasText = true;
        yield event.text;
      } else if (event.type === 'restart') {
        if (hasText) yield restartMark;
        hasText = false;
      }
    }
  }

  #read(): Promise<IteratorResult<ChatStreamEvent, void>> {
    const result = this.#source.next();
    // Beside the promise that is returned, so that no event takes a turn of the queue longer.
    result.then(this.#onResult, this.#onError);
    return result;
  }

  readonly #onResult = (result: IteratorResult<ChatStreamEvent, void>): void => {
    if (result.done) this.#hasEnded = true;
    else if (result.value.type === 'done') this.#done = result.value.reply as Answered;
  };

  readonly #onError = (error: unknown): void => {
    this.#failure = { error };
    this.#hasEnded = true;
    // Without `reply` it is a loop that reads, and that has the error now.
    this.#hasThrown = this.#reply === undefined;
  };

  async #readToEnd(): Promise<Answered> {
    while (!this.#hasEnded && this.#done === undefined) {
      // `onError` keeps the error; it is thrown below and to a loop.
      const result = await this.#read().catch(() => undefined);
      if (result === undefined || result.done) break;
      const reader = this.#readers.shift();
      if (reader === undefined) this.#buffered.push(result.value);
      else reader.resolve(result);
    }
    // The end of the generator is where the call is closed. `onError` keeps what it throws.
    if (this.#done !== undefined && !this.#hasEnded) await this.#read().catch(() => undefined);
    for (const reader of this.#readers.splice(0)) {
      // The first of them gets the failure, if there is one.
      this.#afterEnd().then(reader.resolve, reader.reject);
    }
    if (this.#done !== undefined) return this.#done;
    throw this.#failure?.error ?? leftEarly();
  }

  /** What a loop gets after the last event: the error once, then the end. */
  async #afterEnd(): Promise<IteratorResult<ChatStreamEvent, void>> {
    if (this.#failure !== undefined && !this.#hasThrown) {
      this.#hasThrown = true;
      throw this.#failure.error;
    }
    return { done: true, value: undefined };
  }
}
