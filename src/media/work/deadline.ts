import { linkedController } from '../../core/abort.js';
import { MediaError } from '../../core/errors.js';

/** A signal for one preparation: it aborts with the caller's, at a time limit, or by `abort`. */
export class Deadline {
  readonly #link: ReturnType<typeof linkedController>;
  #timer: NodeJS.Timeout | undefined;

  constructor(caller: AbortSignal | undefined) {
    this.#link = linkedController(caller);
  }

  get signal(): AbortSignal {
    return this.#link.signal;
  }

  abort(reason: unknown): void {
    this.#link.controller.abort(reason);
  }

  /** Allows `timeoutMs` from now. `subject` begins the sentence of the error. */
  start(timeoutMs: number, subject: string): void {
    this.pause();
    const sentence = `${subject} took longer than ${timeoutMs / 1000} s to prepare. Send a shorter one, or raise timeoutMs.`;
    this.#timer = setTimeout(() => this.abort(new MediaError('timeout', sentence)), timeoutMs);
  }

  /** Stops the timer: waiting for a place does not count. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  release(): void {
    this.pause();
    this.#link.unlink();
  }
}
