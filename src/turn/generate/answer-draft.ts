import type { Failure } from '../../core/failure.js';
import type { AnswerInfo, MessagePart, SourcePart } from '../../core/message.js';
import { addUsage } from '../../core/usage.js';
import type { AnswerEvent, GeneratedFile } from '../../model/chat-model.js';
import type { ChatStreamEvent } from '../reply.js';
import type { Finish, ModelAttempt } from './model-attempt.js';
import { RepeatedPart, type Shown } from './repeated-part.js';

/**
 * An answer that goes on in further calls: what the finished ones said. Text that was shown stays, as long as
 * a call that is repeated says the same again.
 */
export class AnswerDraft {
  text = '';
  thoughts = '';
  readonly files: GeneratedFile[] = [];
  #finish: Finish | undefined;
  #repeated: RepeatedPart | undefined;

  /** Whether no call of the answer has finished yet, so that there is nothing to go on from. */
  get isEmpty(): boolean {
    return this.#finish === undefined;
  }

  /** What to show for an event of the current call. */
  accept(event: AnswerEvent): readonly ChatStreamEvent[] {
    return this.#show(this.#repeated?.push(event) ?? { events: [event] });
  }

  /** What is still to be shown when the current call has finished. */
  end(): readonly ChatStreamEvent[] {
    return this.#repeated ? this.#show(this.#repeated.end()) : [];
  }

  /** The end of the whole answer, if `finish` is the end of its last call. */
  merge(finish: Finish): Finish {
    if (this.#finish === undefined) return finish;
    const parts = finish.parts.map((part) => (part.type === 'source' ? this.#placed(part) : part));
    return {
      ...finish,
      // Of an answer that is not gone on with.
      finishReason: finish.continuation === undefined ? finish.finishReason : 'max-tokens',
      parts: [...this.#finish.parts, ...parts],
      usage: addUsage(this.#finish.usage, finish.usage),
      info: mergeInfo(this.#finish.info, finish.info),
    };
  }

  /** The current call has finished, and another goes on. */
  add({ files, text, thoughts }: ModelAttempt, finish: Finish): void {
    this.#finish = this.merge(finish);
    this.text += text;
    this.thoughts += thoughts;
    this.files.push(...files);
    this.#repeated = undefined;
  }

  /** The current call broke off and is repeated. Returns what to show: nothing, if its text may come again. */
  repeat(
    { hasAnswered, hasOnlyText, text, thoughts }: ModelAttempt,
    failure: Failure,
  ): readonly ChatStreamEvent[] {
    // What the call before it showed is still to be repeated.
    if (this.#repeated !== undefined && !this.#repeated.isOver) {
      this.#repeated = this.#repeated.again();
      return [];
    }
    // Other thoughts will come again, even before the same text.
    const isRepeatable = hasOnlyText && thoughts === '';
    this.#repeated = hasAnswered && isRepeatable ? new RepeatedPart(text, failure) : undefined;
    return isRepeatable ? [] : this.#restart(failure);
  }

  /** The answer starts again from the beginning. */
  discard(): void {
    this.text = '';
    this.thoughts = '';
    this.files.length = 0;
    this.#finish = undefined;
    this.#repeated = undefined;
  }

  #show({ events, restart }: Shown): readonly ChatStreamEvent[] {
    const placed = events.map((event) =>
      event.type === 'source' ? { ...event, source: this.#placed(event.source) } : event,
    );
    return restart ? [...this.#restart(restart), ...placed] : placed;
  }

  /** Begins again, and shows what the finished calls said. */
  #restart(failure: Failure): readonly ChatStreamEvent[] {
    const shown = (this.#finish?.parts ?? []).flatMap((part) => toEvent(part, this.files) ?? []);
    return [{ type: 'restart', failure }, ...shown];
  }

  /** Spans of a call count from its own first character. */
  #placed(source: SourcePart): SourcePart {
    const by = this.text.length;
    const spans = source.spans?.map(({ end, start }) => ({ start: start + by, end: end + by }));
    return spans ? { ...source, spans } : source;
  }
}

function toEvent(part: MessagePart, files: readonly GeneratedFile[]): AnswerEvent | undefined {
  switch (part.type) {
    case 'text':
      return part.text === '' ? undefined : { type: 'text', text: part.text };
    case 'reasoning':
      return { type: 'thought', text: part.text };
    case 'code':
      return { type: 'code', code: part };
    case 'code-result':
      return { type: 'code-result', result: part };
    case 'tool-call':
      return { type: 'tool-call', call: part };
    case 'source':
      return { type: 'source', source: part };
    case 'file': {
      const file = files.find(({ fingerprint }) => fingerprint === part.fingerprint);
      return file && { type: 'file', file };
    }
    default:
      return undefined;
  }
}

function mergeInfo(first: AnswerInfo | undefined, second: AnswerInfo | undefined): AnswerInfo | undefined {
  const [one, other] = [first?.searchSuggestions, second?.searchSuggestions];
  if (one === undefined || other === undefined)
    return first && second ? { ...first, ...second } : (first ?? second);
  const html = [one.html, other.html].filter((each) => each !== undefined).join('\n');
  const queries = [...new Set([...one.queries, ...other.queries])];
  return { ...first, ...second, searchSuggestions: { queries, ...(html !== '' && { html }) } };
}
