import { onAbort } from '../../core/abort.js';
import { MediaError } from '../../core/errors.js';

/** A signal for one preparation: it aborts with the caller's, at a time limit, or when told to. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #unfollow: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(caller: AbortSignal | undefined) {
    this.#unfollow = caller && onAbort(caller, (reason) => this.abort(reason));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Allows `timeoutMs` from now. `subject` begins the sentence of the error. */
  start(timeoutMs: number, subject: string): void {
    this.pause();
    const sentence = `${subject} took longer than ${timeoutMs / 1000} s to prepare. Send a shorter one, or raise timeoutMs.`;
    this.#timer = setTimeout(() => this.abort(new MediaError('timeout', sentence)), timeoutMs);
  }

  /** Stops the time: waiting for a place does not count. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  release(): void {
    this.pause();
    this.#unfollow?.();
  }
}
