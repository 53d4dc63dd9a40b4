import { BlockedError, ModelCallError } from '../errors.js';
import type { Failure } from '../types.js';
import { ReplyAssembler } from './assemble.js';
import type { ModelEvent } from './chat-model.js';
import { classifyFailure } from './classify-failure.js';
import { findApiError, parseJson } from './error-facts.js';
import type { StreamEvent } from './event-stream.js';
import { EventStreamDecoder } from './event-stream.js';
import type { Redactor } from './redact.js';

/**
 * Reads the body of a reply with status 200: a stream of events, or one whole JSON reply where a proxy
 * does not stream. Works on bytes as they come and waits for nothing.
 */
export class ReplyReader {
  readonly #decoder = new EventStreamDecoder();
  readonly #assembler = new ReplyAssembler();
  readonly #redactor: Redactor;
  #failure: Failure | undefined;

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
  }

  /** Whether the answer is over before the stream is: refused or broken. `finish` says which. */
  get isOver(): boolean {
    return this.#failure !== undefined || this.#assembler.isRefused;
  }

  /** What is new to read in these bytes. Never throws. */
  push(bytes: Uint8Array): readonly ModelEvent[] {
    return this.#readEvents(this.#decoder.push(bytes));
  }

  /** What was still held back, once there are no more bytes. Never throws. */
  drain(): readonly ModelEvent[] {
    if (this.isOver) return [];
    const events = this.#readEvents(this.#decoder.end());
    if (this.isOver) return events;
    return [...events, ...this.#readUnframed(this.#decoder.unframed.trim())];
  }

  /**
   * The end of a whole answer.
   *
   * @throws BlockedError when the prompt or the answer was refused.
   * @throws ModelCallError when the stream reported an error or is no whole answer.
   */
  finish(): ModelEvent {
    const outcome = this.#assembler.outcome();
    if (outcome.type === 'blocked') {
      throw new BlockedError(outcome.reason, outcome.message, { partial: outcome.partial });
    }
    if (this.#failure) throw new ModelCallError(this.#failure);
    if (outcome.type === 'finish') return outcome.event;
    const { message, reason } = outcome;
    throw new ModelCallError({
      kind: 'incomplete',
      scope: 'call',
      reason: this.#redactor.text(reason),
      message: this.#redactor.text(message),
    });
  }

  #readEvents(streamEvents: readonly StreamEvent[]): readonly ModelEvent[] {
    if (streamEvents.length === 1 && streamEvents[0]) return this.#readEvent(streamEvents[0]);
    const events: ModelEvent[] = [];
    for (const event of streamEvents) {
      if (this.isOver) break;
      events.push(...this.#readEvent(event));
    }
    return events;
  }

  #readEvent({ name, data }: StreamEvent): readonly ModelEvent[] {
    if (name === 'error') {
      const parsed = parseJson(data);
      const body = findApiError(parsed) ? parsed : { error: { message: data } };
      this.#failure = classifyFailure({ status: 200, body, redactor: this.#redactor });
      return [];
    }
    try {
      return this.#readChunk(JSON.parse(data));
    } catch (error) {
      this.#failure = classifyFailure({ error, redactor: this.#redactor });
      return [];
    }
  }

  #readChunk(chunk: unknown): readonly ModelEvent[] {
    if (findApiError(chunk) === undefined) return this.#assembler.push(chunk);
    this.#failure = classifyFailure({ status: 200, body: chunk, redactor: this.#redactor });
    return [];
  }

  #readUnframed(text: string): readonly ModelEvent[] {
    if (text === '') return [];
    const reply = parseJson(text);
    if (reply === undefined) {
      // Half a JSON reply is a broken connection; anything else is not Gemini.
      this.#failure = classifyFailure(
        /^[[{]/.test(text)
          ? { error: new SyntaxError('The reply ends in the middle of its JSON.'), redactor: this.#redactor }
          : { status: 200, body: text, redactor: this.#redactor },
      );
      return [];
    }
    const chunks = Array.isArray(reply) ? reply : [reply];
    return chunks.flatMap((chunk) => this.#readChunk(chunk));
  }
}
