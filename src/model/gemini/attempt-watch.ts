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

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

const sentences: Readonly<Record<ExpiredLimit, (ms: number) => string>> = {
  FIRST_TOKEN: (ms) =>
    `The model did not begin to answer within ${seconds(ms)}: raise \`timeouts.firstTokenMs\` (${ms}) or lower \`thinkingLevel\`.`,
  BETWEEN_CHUNKS: (ms) =>
    `The model was silent for ${seconds(ms)} in the middle of its answer: raise \`timeouts.betweenChunksMs\` (${ms}) if it may be.`,
  TOTAL: (ms) =>
    `The answer took longer than ${seconds(ms)}: raise \`timeouts.totalMs\` of the model (${ms}), which is \`timeouts.callMs\` of a chat, or ask for less.`,
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
  #hasBegun = false;
  /** When waiting for the next chunk began; undefined while the reader is busy with the last one. */
  #silentSince: number | undefined;
  /** The silence that ends the answer. */
  #endsAfterMs: number | undefined;
  #hasExpired = false;
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

  /** Whether the caller aborted, and no limit. */
  get wasCancelled(): boolean {
    return this.signal.aborted && !this.#hasExpired;
  }

  /**
   * The next chunk is being awaited.
   *
   * @param endsAfterMs A silence of this length ends the answer: the signal aborts, which is no failure.
   */
  awaitChunk(endsAfterMs?: number): void {
    this.#silentSince ??= this.#clock.now();
    if (endsAfterMs === this.#endsAfterMs) return;
    this.#endsAfterMs = endsAfterMs;
    this.#clock.clearTimeout(this.#timer);
    this.#check();
  }

  /** A chunk has come. One without progress, such as a comment, does not end the silence. */
  gotChunk(isProgress: boolean): void {
    if (!isProgress) return;
    this.#silentSince = undefined;
    if (this.#hasBegun) return;
    this.#hasBegun = true;
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
    if (this.signal.aborted) return;
    const now = this.#clock.now();
    const { betweenChunksMs, firstTokenMs, totalMs } = this.#timeouts;
    const totalLeft = this.#startedAt + totalMs - now;
    const nextLeft = this.#hasBegun
      ? (this.#silentSince ?? now) + (this.#endsAfterMs ?? betweenChunksMs) - now
      : this.#startedAt + firstTokenMs - now;
    if (totalLeft <= 0) this.#expire('TOTAL', totalMs);
    else if (nextLeft > 0) this.#arm(Math.min(nextLeft, totalLeft));
    else if (this.#hasBegun) this.#expire('BETWEEN_CHUNKS', betweenChunksMs);
    else this.#expire('FIRST_TOKEN', firstTokenMs);
  };

  #expire(limit: ExpiredLimit, ms: number): void {
    this.#hasExpired = true;
    const message = sentences[limit](ms);
    this.cancel(new ModelCallError({ kind: 'timeout', scope: 'call', reason: limit, message }));
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(this.#check, Math.min(delayMs, maxTimerMs));
  }
}
