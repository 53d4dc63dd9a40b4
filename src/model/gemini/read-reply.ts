import { BlockedError, ModelCallError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import type { Redactor } from '../../core/redact.js';
import type { ModelEvent } from '../chat-model.js';
import { ReplyAssembler } from './assemble.js';
import { classifyFailure } from './classify-failure.js';
import { findApiError, parseJson } from './error-facts.js';
import type { StreamEvent } from './event-stream.js';
import { EventStreamDecoder } from './event-stream.js';

/** Whether the chunk counts the output tokens so far, so that no two chunks of an answer are equal. */
function countsOutput(chunk: unknown): boolean {
  const usage = (chunk as { usageMetadata?: { candidatesTokenCount?: unknown } } | null)?.usageMetadata;
  return typeof usage?.candidatesTokenCount === 'number' && usage.candidatesTokenCount > 0;
}

/**
 * Reads the body of a reply with status 200: a stream of events, or one whole JSON reply from a proxy that
 * does not stream.
 */
export class ReplyReader {
  readonly #decoder = new EventStreamDecoder();
  readonly #assembler = new ReplyAssembler();
  readonly #redactor: Redactor;
  /** The data of the event before. */
  #lastData: string | undefined;
  #failure: Failure | undefined;

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
  }

  /** Whether the answer ended before the stream: refused or failed. `finish` throws which. */
  get isOver(): boolean {
    return this.#failure !== undefined || this.#assembler.isRefused;
  }

  /** The events in these bytes. Never throws. */
  push(bytes: Uint8Array): readonly ModelEvent[] {
    return this.#readEvents(this.#decoder.push(bytes));
  }

  /** The remaining events, once there are no more bytes. Never throws. */
  drain(): readonly ModelEvent[] {
    if (this.isOver) return [];
    const events = this.#readEvents(this.#decoder.end());
    if (this.isOver) return events;
    return [...events, ...this.#readUnframed(this.#decoder.unframed.trim())];
  }

  /**
   * The end of a whole answer.
   *
   * @throws BlockedError if the prompt or the answer was refused.
   * @throws ModelCallError if the stream reported an error or is incomplete.
   */
  finish(): ModelEvent {
    const outcome = this.#assembler.outcome();
    if (outcome.type !== 'blocked' && this.#failure) throw new ModelCallError(this.#failure);
    if (outcome.type === 'finish') return outcome.event;
    const message = this.#redactor.text(outcome.message);
    const reason = this.#redactor.text(outcome.reason);
    if (outcome.type === 'blocked') throw new BlockedError(reason, message, { partial: outcome.partial });
    throw new ModelCallError({ kind: 'incomplete', scope: 'call', reason, message });
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
    const isSame = data === this.#lastData;
    this.#lastData = data;
    try {
      const chunk: unknown = JSON.parse(data);
      // A chunk that was sent twice is read once. Equal pieces of text without a count, such as line breaks, stay.
      return isSame && countsOutput(chunk) ? [] : this.#readChunk(chunk);
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
      // Half a JSON reply means a broken connection, anything else another service.
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
