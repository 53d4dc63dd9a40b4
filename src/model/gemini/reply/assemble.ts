import type {
  AnswerInfo,
  JsonValue,
  MessagePart,
  ReasoningPart,
  SourcePart,
  TextPart,
} from '../../../core/message.js';
import { Redactor } from '../../../core/redact.js';
import type { FinishReason } from '../../../core/turn.js';
import type { Usage } from '../../../core/usage.js';
import type { ModelEvent } from '../../chat-model.js';
import { toMessagePart } from '../gemini-parts.js';
import { isObject, type Json, nonEmptyText, numberIn, objectsIn } from '../json.js';
import { AnswerInfoReader, readUsage } from './answer-info.js';
import { type FinishMeaning, meaningOf, readBlockReason, readFinishReason } from './finish-reasons.js';
import { GeneratedFiles } from './generated-file.js';
import { SourceCollector } from './sources.js';

type FinishEvent = Extract<ModelEvent, { type: 'finish' }>;
type Refusal = { readonly reason: string; readonly said: string; readonly what: string };

/** How an assembled reply ended. */
export type Outcome =
  | { readonly type: 'finish'; readonly events: readonly ModelEvent[] }
  | { readonly type: 'blocked'; readonly reason: string; readonly message: string; readonly partial: string }
  | {
      readonly type: 'incomplete';
      readonly kind?: 'invalid-request' | undefined;
      readonly reason: string;
      readonly message: string;
    };

/** Whether a part is text without a signature or anything else of its own, which may be merged. */
const isMergeable = (part: TextPart | ReasoningPart): boolean => part.providerMetadata === undefined;

/** Fields of a part that are no content of the answer: signatures, and steps of tools that Google runs. */
const silentFields: ReadonlySet<string> = new Set(['thoughtSignature', 'toolCall', 'toolResponse']);

const finishReasons: Partial<Record<FinishMeaning, FinishReason>> = {
  stop: 'stop',
  'max-tokens': 'max-tokens',
  continuation: 'max-tokens',
};

/**
 * Puts the chunks of one reply together: events for reading, parts for the record.
 *
 * Streamed parts are merged only when both are plain text of the same kind and neither has a
 * signature: a thought signature belongs to exactly its part.
 */
export class ReplyAssembler {
  readonly #redactor: Redactor;
  readonly #parts: MessagePart[] = [];
  /** The last of the parts, while it may grow. */
  #growing: { type: 'text' | 'reasoning'; text: string } | undefined;
  /** The parts as Gemini numbers them. */
  readonly #pieces: { readonly start: number; text: string }[] = [];
  readonly #files = new GeneratedFiles();
  readonly #info = new AnswerInfoReader();
  readonly #sources = new SourceCollector();
  #text = '';
  #hasOtherContent = false;
  /** Names of content that is not known here. It is kept in the record. */
  readonly #unread = new Set<string>();
  #finishReason: string | undefined;
  #wentOn = false;
  #continuation: JsonValue | undefined;
  readonly #usageMetadata: Record<string, unknown> = {};
  #refusal: Refusal | undefined;
  #isGemini = false;
  /** Which of several candidates is read. */
  #index: number | undefined;

  /** @param redactor Removes keys from what the service says beside the answer itself. */
  constructor(redactor = new Redactor()) {
    this.#redactor = redactor;
  }

  /** Whether the reply was refused; the rest of the stream can be ignored. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Whether a finish reason has come. */
  get hasFinishReason(): boolean {
    return this.#finishReason !== undefined;
  }

  /** Whether content came after a finish reason: some models repeat STOP in every chunk. */
  get repeatsFinishReason(): boolean {
    return this.#wentOn;
  }

  /** Whether anything of Gemini has come. */
  get isGemini(): boolean {
    return this.#isGemini;
  }

  /** The last counts that came, if any. */
  get usage(): Usage | undefined {
    return readUsage(this.#usageMetadata);
  }

  /** Adds one chunk; returns what is in it. */
  push(chunk: Json): readonly ModelEvent[] {
    this.#isGemini ||= 'candidates' in chunk || 'promptFeedback' in chunk || 'usageMetadata' in chunk;
    if (isObject(chunk.usageMetadata)) Object.assign(this.#usageMetadata, chunk.usageMetadata);
    const candidate = this.#findCandidate(chunk);
    const reason = readFinishReason(candidate?.finishReason);
    this.#info.push(chunk, candidate, reason);
    const { blockReason, blockReasonMessage } = isObject(chunk.promptFeedback) ? chunk.promptFeedback : {};
    const blocked = readBlockReason(blockReason);
    if (blocked !== undefined) this.#refuse(blocked, 'The prompt was refused', blockReasonMessage);
    if (candidate === undefined) return [];
    this.#sources.push(candidate);
    this.#continuation = (candidate.continuationToken as JsonValue | undefined) ?? this.#continuation;
    const parts = isObject(candidate.content) ? objectsIn(candidate.content.parts) : [];
    const events: ModelEvent[] = [];
    for (const part of parts) {
      const event = this.#pushPart(part);
      if (event) events.push(event);
    }
    this.#wentOn ||= this.hasFinishReason && events.length > 0;
    if (reason !== undefined) {
      // The first one counts, unless the answer went on after it.
      if (!this.hasFinishReason || this.#wentOn) this.#finishReason = reason;
      if (meaningOf(reason) === 'refusal')
        this.#refuse(reason, 'The answer was stopped', candidate.finishMessage);
    }
    return events;
  }

  /** Several candidates (`candidateCount`) are several answers: the first is read. */
  #findCandidate(chunk: Json): Json | undefined {
    const candidates = objectsIn(chunk.candidates);
    const [first] = candidates;
    if (first === undefined) return undefined;
    const indexOf = ({ index }: Json) => numberIn(index) ?? 0;
    this.#index ??= indexOf(first);
    return candidates.find((candidate) => indexOf(candidate) === this.#index);
  }

  #refuse(reason: string, what: string, words: unknown): void {
    this.#refusal ??= { reason, what, said: this.#quote(reason, words) };
  }

  /** What the service said, in brackets, to be put before the full stop of a sentence. */
  #quote(reason: string, words: unknown): string {
    const said = this.#redactor.text(nonEmptyText(words) ?? '').replace(/\.$/, '');
    return said === '' ? ` (${reason})` : ` (${reason}: ${said})`;
  }

  #pushPart(raw: Json): ModelEvent | undefined {
    const start = this.#text.length;
    const isThought = raw.thought === true;
    if ('inlineData' in raw) {
      this.#pieces.push({ start, text: '' });
      // A draft of the picture that follows.
      const received = isThought ? undefined : this.#files.read(raw);
      this.#hasOtherContent ||= received !== undefined || this.#files.hasSamples;
      if (received === undefined) return undefined;
      this.#parts.push(received.part);
      return { type: 'file', file: received.file };
    }
    const part = toMessagePart(raw);
    if (part.type === 'text' || part.type === 'reasoning') {
      this.#pushText(part);
      if (part.text === '') return undefined;
      return { type: part.type === 'text' ? 'text' : 'thought', text: part.text };
    }
    this.#parts.push(part);
    this.#pieces.push({ start, text: '' });
    this.#hasOtherContent ||= part.type !== 'provider';
    if (part.type === 'code') return { type: 'code', code: part };
    if (part.type === 'code-result') return { type: 'code-result', result: part };
    if (part.type === 'tool-call') return { type: 'tool-call', call: part };
    if (!isThought) for (const name of Object.keys(raw)) if (!silentFields.has(name)) this.#unread.add(name);
    return undefined;
  }

  #pushText(part: TextPart | ReasoningPart): void {
    const visible = part.type === 'text' ? part.text : '';
    const piece = this.#pieces.at(-1);
    const growing = this.#growing;
    if (piece && growing?.type === part.type && growing === this.#parts.at(-1) && isMergeable(part)) {
      growing.text += part.text;
      piece.text += visible;
    } else if (part.text !== '' || !isMergeable(part)) {
      this.#growing = isMergeable(part) ? { type: part.type, text: part.text } : undefined;
      this.#parts.push(this.#growing ?? part);
      this.#pieces.push({ start: this.#text.length, text: visible });
    }
    this.#text += visible;
  }

  /** The result of the whole stream, once it has ended. */
  outcome(): Outcome {
    if (this.#refusal) {
      const { reason, said, what } = this.#refusal;
      const message = `${what} by Gemini${said}: put the request in other words.`;
      return { type: 'blocked', reason, message, partial: this.#text };
    }
    const reason = this.#finishReason;
    if (reason === undefined) return this.#unfinished();
    const info = this.#redactor.value(this.#info.read()) as AnswerInfo | undefined;
    const said = this.#quote(reason, info?.finishMessage);
    const meaning = meaningOf(reason);
    const isEmpty = this.#text.trim() === '' && !this.#hasOtherContent;
    // Words in place of a picture are an answer.
    if (meaning === 'accident' && (isEmpty || reason !== 'NO_IMAGE')) {
      return { type: 'incomplete', reason, message: `The model gave up on the answer${said}.` };
    }
    if (meaning === 'bad-history') {
      const message = `The conversation lacks a thought signature of the model${said}: send it as plain text.`;
      return { type: 'incomplete', kind: 'invalid-request', reason, message };
    }
    const continuation = meaning === 'continuation' ? this.#continuation : undefined;
    if (!isEmpty || continuation !== undefined) return this.#finished(reason, info, continuation);
    return meaning === 'max-tokens'
      ? {
          type: 'incomplete',
          reason,
          message:
            'The model used up its output tokens before the first word: raise `maxOutputTokens` or lower `thinkingLevel`.',
        }
      : {
          type: 'incomplete',
          reason: 'EMPTY_ANSWER',
          message:
            this.#unread.size > 0
              ? `The model answered only with what this version cannot read (${[...this.#unread].join(', ')}): update the package or choose another model.`
              : `The model ended its answer without any content${said}.`,
        };
  }

  #finished(reason: string, info: AnswerInfo | undefined, continuation: JsonValue | undefined): Outcome {
    const meaning = meaningOf(reason);
    const sound = this.#files.end();
    if (sound) this.#parts.push(sound.part);
    const found = this.#sources.read(this.#text, this.#pieces);
    const sources = this.#redactor.value(found) as readonly SourcePart[];
    const { usage } = this;
    const finish: FinishEvent = {
      type: 'finish',
      // An answer that goes on has reached a limit too, should nobody continue it.
      finishReason: finishReasons[meaning] ?? 'unknown',
      ...(usage && { usage }),
      ...(info && { info }),
      parts: [...this.#parts, ...sources],
      ...(continuation !== undefined && { continuation }),
    };
    const files = sound ? [{ type: 'file', file: sound.file } as const] : [];
    const events = sources.map((source): ModelEvent => ({ type: 'source', source }));
    return { type: 'finish', events: [...files, ...events, finish] };
  }

  #unfinished(): Outcome {
    if (this.#isGemini) {
      const message = 'The answer ended without a finish reason, so part of it may be missing.';
      return { type: 'incomplete', reason: 'NO_FINISH_REASON', message };
    }
    const message =
      'Gemini sent no answer at all. If this happens again, check the base URL and any proxy in between.';
    return { type: 'incomplete', reason: 'EMPTY_REPLY', message };
  }
}
