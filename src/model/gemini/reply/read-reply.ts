import { BlockedError, ModelCallError } from '../../../core/errors.js';
import type { Failure } from '../../../core/failure.js';
import type { Redactor } from '../../../core/redact.js';
import type { Usage } from '../../../core/usage.js';
import type { ModelEvent } from '../../chat-model.js';
import { classifyFailure } from '../failure/classify-failure.js';
import { wordsOf } from '../failure/error-words.js';
import { findApiError } from '../failure/read-error-facts.js';
import { isObject, type Json, objectsIn, parseJson } from '../json.js';
import { withJsonNames } from '../proto-names.js';
import { ReplyAssembler } from './assemble.js';
import { EventStreamDecoder, type StreamEvent } from './event-stream.js';

/** Silence after which an answer with a finish reason is over. Its counts may come in a chunk of their own. */
const quietMs = 2_000;
/** The same for models that repeat the finish reason in every chunk. */
const repeatedQuietMs = 10_000;

/** No model says this many characters twice in a row in the same pieces; it does repeat words and short lines. */
const longPiece = 100;

/** Half an object, or half a list of something. Other text that is no JSON is another protocol's. */
const isHalfJson = (data: string) => /^\s*(?:\{|\[\s*[{["])/.test(data);

/**
 * Reads the body of a reply with status 200: a stream of events, or JSON without frames from a proxy that
 * does not stream. The protocol ends the answer: after a finish reason nothing takes it away.
 */
export class ReplyReader {
  readonly #decoder = new EventStreamDecoder();
  readonly #assembler: ReplyAssembler;
  readonly #redactor: Redactor;
  #failure: Failure | undefined;
  #isDone = false;
  /** The data of the event before. */
  #lastData: string | undefined;
  /** What came first that is not of Gemini. */
  #foreign: unknown;

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
    this.#assembler = new ReplyAssembler(redactor);
  }

  /** Whether the rest of the stream can be ignored. `finish` says how the answer ended. */
  get isOver(): boolean {
    return this.#failure !== undefined || this.#assembler.isRefused || (this.#isDone && this.isWhole);
  }

  /** Whether the answer is complete, whatever else comes. */
  get isWhole(): boolean {
    return this.#assembler.hasFinishReason && !this.#assembler.repeatsFinishReason;
  }

  /** Whether the answer is complete once the event that has begun is read, too. */
  get isWholeWithPending(): boolean {
    const pending = this.#decoder.pendingData;
    return (
      this.isWhole || (/"finish_?reason"/i.test(pending ?? '') && parseJson(pending ?? '') !== undefined)
    );
  }

  /** How long a silence has to be to end the answer; undefined if none does. */
  get endsAfterMs(): number | undefined {
    if (this.#isDone || this.isWhole) return quietMs;
    if (this.#assembler.hasFinishReason) return repeatedQuietMs;
    return this.isWholeWithPending ? quietMs : undefined;
  }

  /** Whether the last `push` brought more than comments. */
  get hasProgress(): boolean {
    return this.#decoder.hasProgress;
  }

  /** The tokens counted so far. */
  get usage(): Usage | undefined {
    return this.#assembler.usage;
  }

  /** The events in these bytes. Never throws. */
  push(bytes: Uint8Array): readonly ModelEvent[] {
    return this.#readEvents(this.#decoder.push(bytes));
  }

  /** The remaining events, once there are no more bytes. Never throws. */
  drain(): readonly ModelEvent[] {
    if (this.isOver) return [];
    const events = this.#readEvents(this.#decoder.end());
    if (this.#decoder.isInsideObject) this.#failAsBroken();
    // The page of another service.
    const { other } = this.#decoder;
    if (other !== '' && !this.#assembler.isGemini && this.#foreign === undefined)
      this.#fail({ status: 200, body: other });
    return events;
  }

  /**
   * The end of a whole answer: its sources, then `finish`.
   *
   * @throws BlockedError if the prompt or the answer was refused.
   * @throws ModelCallError if the stream reported an error or is incomplete.
   */
  finish(): readonly ModelEvent[] {
    const outcome = this.#assembler.outcome();
    if (outcome.type !== 'blocked' && this.#failure) throw new ModelCallError(this.#failure);
    if (outcome.type === 'finish') return outcome.events;
    const message = this.#redactor.text(outcome.message);
    const reason = this.#redactor.text(outcome.reason);
    if (outcome.type === 'blocked') throw new BlockedError(reason, message, { partial: outcome.partial });
    const words = this.#assembler.isGemini ? '' : this.#wordsOf(this.#foreign);
    throw new ModelCallError({
      kind: outcome.kind ?? 'incomplete',
      scope: 'call',
      reason,
      message: words === '' ? message : `${message} The server said: ${words}`,
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
    if (data.trim() === '[DONE]') {
      this.#isDone = true;
      return [];
    }
    const isSame = data === this.#lastData;
    this.#lastData = data;
    const parsed = readJson(data);
    // Sent twice by something in between.
    if (isSame && longestText(parsed) >= longPiece) return [];
    if (name === 'error') {
      const body = findApiError(parsed) ? parsed : { error: { message: this.#wordsOf(parsed ?? data) } };
      this.#fail({ status: 200, body });
      return [];
    }
    if (parsed === undefined && isHalfJson(data)) this.#failAsBroken();
    if (isObject(parsed)) return this.#readChunk(parsed);
    const chunks = objectsIn(parsed);
    if (chunks.length === 0) this.#foreign ??= parsed ?? data;
    return chunks.flatMap((chunk) => this.#readChunk(chunk));
  }

  #readChunk(received: Json): readonly ModelEvent[] {
    // Google's Code Assist, and gateways to it, put each chunk into an envelope.
    const chunk = isObject(received.response) ? received.response : received;
    if (findApiError(chunk) !== undefined) {
      this.#fail({ status: 200, body: chunk });
      return [];
    }
    const events = this.#failure === undefined ? this.#assembler.push(chunk) : [];
    if (!this.#assembler.isGemini) this.#foreign ??= chunk;
    return events;
  }

  #wordsOf(value: unknown): string {
    return wordsOf(typeof value === 'string' ? this.#redactor.fragment(value) : this.#redactor.value(value));
  }

  #failAsBroken(): void {
    this.#fail({ error: new SyntaxError('The reply ends in the middle of its JSON.') });
  }

  /** The answer has failed, unless it is whole already. */
  #fail(evidence: Parameters<typeof classifyFailure>[0]): void {
    if (!this.isWhole) this.#failure ??= classifyFailure({ ...evidence, redactor: this.#redactor });
  }
}

/** Gemini has no name with an underscore: only others are looked at twice. */
function readJson(data: string): unknown {
  const parsed = parseJson(data);
  return /"[a-z]+_[a-z_]+"\s*:/.test(data) ? withJsonNames(parsed) : parsed;
}

/** Characters of the longest text in a chunk. */
function longestText(chunk: unknown): number {
  const [candidate] = isObject(chunk) ? objectsIn(chunk.candidates) : [];
  const parts = isObject(candidate?.content) ? objectsIn(candidate.content.parts) : [];
  return Math.max(0, ...parts.map(({ text }) => (typeof text === 'string' ? text.length : 0)));
}
