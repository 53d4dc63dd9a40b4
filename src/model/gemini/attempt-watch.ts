import type { Clock } from '../../core/clock.js';
import { ModelCallError } from '../../core/errors.js';

/** How long one attempt may take, in milliseconds. */
export interface AttemptTimeouts {
  /** From the start to the first token, thoughts included. Default 60,000. */
  readonly firstTokenMs: number;
  /** Silence after the first token. The time that the reader takes does not count. Default 30,000. */
  readonly betweenChunksMs: number;
  /** The whole attempt. Default 300,000. */
  readonly totalMs: number;
}

export type ExpiredLimit = 'FIRST_TOKEN' | 'BETWEEN_CHUNKS' | 'TOTAL';

/** Node's timers fire at once beyond this. */
const longestTimerMs = 2 ** 31 - 1;

const sentences: Readonly<Record<ExpiredLimit, (ms: number) => string>> = {
  FIRST_TOKEN: (ms) => `The model did not begin to answer within ${ms} ms.`,
  BETWEEN_CHUNKS: (ms) => `The model fell silent in the middle of its answer for ${ms} ms.`,
  TOTAL: (ms) => `The answer took longer than ${ms} ms.`,
};

/**
 * Cancels one attempt when its caller aborts or one of its time limits expires, and knows afterwards
 * which of them it was: the network layer reports all of them as the same `AbortError`.
 *
 * One timer serves all limits. A chunk only moves a mark; the timer looks at it when it fires.
 */
export class AttemptWatch {
  readonly #controller = new AbortController();
  readonly #clock: Clock;
  readonly #timeouts: AttemptTimeouts;
  readonly #caller: AbortSignal | undefined;
  readonly #startedAt: number;
  #hasToken = false;
  /** Since when the next chunk is awaited; `undefined` while the reader is busy with the last one. */
  #silentSince: number | undefined;
  #timer: unknown;
  #expired: ExpiredLimit | undefined;

  constructor(clock: Clock, timeouts: AttemptTimeouts, caller: AbortSignal | undefined) {
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#caller = caller;
    this.#startedAt = clock.now();
    // Not AbortSignal.any: on a signal that lives long it keeps every attempt alive.
    caller?.addEventListener('abort', this.#cancel, { once: true });
    if (caller?.aborted) this.#cancel();
    this.#arm(Math.min(timeouts.firstTokenMs, timeouts.totalMs));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The next chunk is being awaited. */
  awaitChunk(): void {
    this.#silentSince = this.#clock.now();
  }

  /** A chunk has come, with or without tokens in it. */
  gotChunk(hasToken: boolean): void {
    this.#silentSince = undefined;
    if (this.#hasToken || !hasToken) return;
    this.#hasToken = true;
    this.#clock.clearTimeout(this.#timer);
    this.#look();
  }

  /** What to throw for an error of the network layer: the caller's own reason, an expired limit, or `undefined`. */
  explain(): { readonly thrown: unknown } | undefined {
    if (this.#caller?.aborted) return { thrown: this.#caller.reason };
    if (this.#expired === undefined) return undefined;
    const limits = {
      FIRST_TOKEN: this.#timeouts.firstTokenMs,
      BETWEEN_CHUNKS: this.#timeouts.betweenChunksMs,
      TOTAL: this.#timeouts.totalMs,
    };
    const message = sentences[this.#expired](limits[this.#expired]);
    return { thrown: new ModelCallError({ kind: 'timeout', scope: 'call', reason: this.#expired, message }) };
  }

  /** Lets go of everything; cancels the request unless it has been answered to the end. */
  close(isAnswered: boolean): void {
    this.#clock.clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#cancel);
    if (!isAnswered) this.#cancel();
  }

  readonly #cancel = (): void => this.#controller.abort();

  readonly #look = (): void => {
    const now = this.#clock.now();
    const { betweenChunksMs, firstTokenMs, totalMs } = this.#timeouts;
    const totalLeft = this.#startedAt + totalMs - now;
    const nextLeft = this.#hasToken
      ? (this.#silentSince ?? now) + betweenChunksMs - now
      : this.#startedAt + firstTokenMs - now;
    if (nextLeft <= 0) this.#expire(this.#hasToken ? 'BETWEEN_CHUNKS' : 'FIRST_TOKEN');
    else if (totalLeft <= 0) this.#expire('TOTAL');
    else this.#arm(Math.min(nextLeft, totalLeft));
  };

  #expire(limit: ExpiredLimit): void {
    this.#expired = limit;
    this.#cancel();
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(this.#look, Math.min(delayMs, longestTimerMs));
  }
}
