import type { Failure } from '../../core/failure.js';
import type { AnswerEvent } from '../../model/chat-model.js';

/** What to show. */
export interface Shown {
  readonly events: readonly AnswerEvent[];
  /** Why what was shown of the part is to be discarded; absent if `events` follow it. */
  readonly restart?: Failure | undefined;
}

/** A call that is made again after its text was shown in part. Holds its events back until it has said as much. */
export class RepeatedPart {
  readonly #shown: string;
  readonly #failure: Failure;
  #held: AnswerEvent[] = [];
  #text = '';
  #isOver = false;

  constructor(shown: string, failure: Failure) {
    this.#shown = shown;
    this.#failure = failure;
  }

  /** Whether nothing is held back any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  push(event: AnswerEvent): Shown {
    if (this.#isOver) return { events: [event] };
    this.#held.push(event);
    if (event.type === 'text') this.#text += event.text;
    const isWhole = this.#text.length >= this.#shown.length;
    if (isWhole || !this.#shown.startsWith(this.#text)) return this.end();
    return { events: [] };
  }

  /** Gives out what is held back: without the text that was shown, or all of it if the text is another. */
  end(): Shown {
    if (this.#isOver) return { events: [] };
    this.#isOver = true;
    const events = this.#held;
    this.#held = [];
    if (!this.#text.startsWith(this.#shown)) return { events, restart: this.#failure };
    const others = events.filter(({ type }) => type !== 'text');
    const text = this.#text.slice(this.#shown.length);
    return { events: text === '' ? others : [...others, { type: 'text', text }] };
  }

  /** For one more call. */
  again(): RepeatedPart {
    return new RepeatedPart(this.#shown, this.#failure);
  }
}
