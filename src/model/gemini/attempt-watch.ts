import { type LinkedController, linkedController } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { ModelCallError } from '../../core/errors.js';

/** Limits of one attempt, in milliseconds: see `GeminiModelOptions.timeouts`. */
export interface AttemptTimeouts {
  readonly firstTokenMs: number;
  readonly betweenChunksMs: number;
  readonly totalMs: number;
}

type ExpiredLimit = 'FIRST_TOKEN' | 'BETWEEN_CHUNKS' | 'TOTAL';

/** A longer delay makes Node's timers fire at once. */
const maxTimerMs = 2 ** 31 - 1;

const sentences: Readonly<Record<ExpiredLimit, (ms: number) => string>> = {
  FIRST_TOKEN: (ms) => `The model did not begin to answer within ${ms} ms.`,
  BETWEEN_CHUNKS: (ms) => `The model was silent for ${ms} ms in the middle of its answer.`,
  TOTAL: (ms) => `The answer took longer than ${ms} ms.`,
};

/**
 * Cancels one attempt when its caller aborts or one of its time limits expires.
 *
 * One timer serves all limits. A chunk only moves a mark, which the timer reads when it fires.
 */
export class AttemptWatch {
  readonly #link: LinkedController;
  readonly #clock: Clock;
  readonly #timeouts: AttemptTimeouts;
  readonly #startedAt: number;
  #hasToken = false;
  /** When waiting for the next chunk began; undefined while the reader is busy with the last one. */
  #silentSince: number | undefined;
  #timer: unknown;

  constructor(clock: Clock, timeouts: AttemptTimeouts, caller: AbortSignal | undefined) {
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#startedAt = clock.now();
    this.#link = linkedController(caller);
    this.#arm(Math.min(timeouts.firstTokenMs, timeouts.totalMs));
  }

  /** Aborts with what the attempt has to throw: the caller's reason, or the limit that expired. */
  get signal(): AbortSignal {
    return this.#link.signal;
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
    this.#check();
  }

  /** Cancels the attempt, which then has to throw `reason`. */
  cancel(reason: unknown): void {
    this.#link.controller.abort(reason);
  }

  /** Releases the timer and the listener; cancels the request unless it has been answered to the end. */
  close(isAnswered: boolean): void {
    this.#clock.clearTimeout(this.#timer);
    this.#link.unlink();
    if (!isAnswered) this.#link.controller.abort();
  }

  readonly #check = (): void => {
    const now = this.#clock.now();
    const { betweenChunksMs, firstTokenMs, totalMs } = this.#timeouts;
    const totalLeft = this.#startedAt + totalMs - now;
    const nextLeft = this.#hasToken
      ? (this.#silentSince ?? now) + betweenChunksMs - now
      : this.#startedAt + firstTokenMs - now;
    if (nextLeft <= 0 && this.#hasToken) this.#expire('BETWEEN_CHUNKS', betweenChunksMs);
    else if (nextLeft <= 0) this.#expire('FIRST_TOKEN', firstTokenMs);
    else if (totalLeft <= 0) this.#expire('TOTAL', totalMs);
    else this.#arm(Math.min(nextLeft, totalLeft));
  };

  #expire(limit: ExpiredLimit, ms: number): void {
    const message = sentences[limit](ms);
    this.cancel(new ModelCallError({ kind: 'timeout', scope: 'call', reason: limit, message }));
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(this.#check, Math.min(delayMs, maxTimerMs));
  }
}
