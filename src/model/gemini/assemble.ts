import type { FinishReason, Usage } from '../../core/turn.js';
import type { ModelEvent } from '../chat-model.js';
import { isObject, type Json } from './error-facts.js';
import { toMessagePart } from './gemini-parts.js';

type TextEvent = Extract<ModelEvent, { type: 'text' | 'thought' }>;

const nonEmptyText = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** How an assembled reply ended. */
export type Outcome =
  | { readonly type: 'finish'; readonly event: Extract<ModelEvent, { type: 'finish' }> }
  | { readonly type: 'blocked'; readonly reason: string; readonly message: string; readonly partial: string }
  | { readonly type: 'incomplete'; readonly reason: string; readonly message: string };

/** The model or its filters refused (https://ai.google.dev/api/generate-content#FinishReason). */
const refusals: ReadonlySet<string> = new Set([
  'SAFETY',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'RECITATION',
  'LANGUAGE',
  'MODEL_ARMOR',
]);
const isRefusal = (reason: string) => refusals.has(reason) || reason.startsWith('IMAGE_');

/** The model failed to answer; the same prompt may succeed next time. */
const accidents = /^(?:OTHER|MALFORMED_\w+|UNEXPECTED_TOOL_CALL|TOO_MANY_TOOL_CALLS|NO_IMAGE)$/;

const isPlainText = (part: Json): part is Json & { text: string } =>
  typeof part.text === 'string' && Object.keys(part).every((name) => name === 'text' || name === 'thought');

function readUsage(metadata: Json): Usage {
  const count = (name: string) => (typeof metadata[name] === 'number' ? metadata[name] : 0);
  const inputTokens = count('promptTokenCount');
  const outputTokens = count('candidatesTokenCount');
  const thoughtTokens = count('thoughtsTokenCount');
  return {
    inputTokens,
    outputTokens,
    thoughtTokens,
    totalTokens: count('totalTokenCount') || inputTokens + outputTokens + thoughtTokens,
    ...('cachedContentTokenCount' in metadata ? { cachedInputTokens: count('cachedContentTokenCount') } : {}),
  };
}

const finishReasons: ReadonlyMap<string, FinishReason> = new Map([
  ['STOP', 'stop'],
  ['MAX_TOKENS', 'max-tokens'],
]);

/**
 * Puts the chunks of one reply together: text and thoughts for reading, parts for sending back.
 *
 * Streamed parts are merged only when both are plain text of the same kind and neither has a
 * signature: a thought signature belongs to exactly its part.
 */
export class ReplyAssembler {
  readonly #parts: Record<string, unknown>[] = [];
  #text = '';
  #hasOtherContent = false;
  #finishReason: string | undefined;
  #finishMessage: string | undefined;
  #usageMetadata: Json | undefined;
  #modelVersion: string | undefined;
  #refusal: { readonly reason: string; readonly what: string } | undefined;
  #isGemini = false;

  /** Whether the reply was refused; the rest of the stream can be ignored. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Adds one chunk; returns the text and thoughts in it. */
  push(chunk: unknown): readonly TextEvent[] {
    if (!isObject(chunk)) return [];
    this.#isGemini ||= 'candidates' in chunk || 'promptFeedback' in chunk || 'usageMetadata' in chunk;
    if (isObject(chunk.usageMetadata))
      this.#usageMetadata = { ...this.#usageMetadata, ...chunk.usageMetadata };
    this.#modelVersion = nonEmptyText(chunk.modelVersion) ?? this.#modelVersion;
    const blockReason = isObject(chunk.promptFeedback)
      ? nonEmptyText(chunk.promptFeedback.blockReason)
      : undefined;
    if (blockReason && !blockReason.endsWith('_UNSPECIFIED')) {
      this.#refusal ??= { reason: blockReason, what: 'The prompt was refused' };
    }
    const candidate = Array.isArray(chunk.candidates) ? chunk.candidates[0] : undefined;
    return isObject(candidate) ? this.#pushCandidate(candidate) : [];
  }

  #pushCandidate(candidate: Json): readonly TextEvent[] {
    const events: TextEvent[] = [];
    const parts = isObject(candidate.content) ? candidate.content.parts : undefined;
    if (Array.isArray(parts)) for (const part of parts) if (isObject(part)) this.#pushPart(part, events);
    const reason = nonEmptyText(candidate.finishReason);
    if (reason) {
      // Some models repeat STOP in every chunk: only the end of the stream ends the reply.
      this.#finishReason = reason;
      this.#finishMessage = nonEmptyText(candidate.finishMessage);
      if (isRefusal(reason)) this.#refusal ??= { reason, what: 'The answer was stopped' };
    }
    return events;
  }

  #pushPart(part: Json, events: TextEvent[]): void {
    const isThought = part.thought === true;
    const text = nonEmptyText(part.text);
    if (text !== undefined) {
      events.push({ type: isThought ? 'thought' : 'text', text });
      if (!isThought) this.#text += text;
    }
    const last = this.#parts.at(-1);
    if (!isPlainText(part)) {
      this.#parts.push({ ...part });
      this.#hasOtherContent ||=
        !isThought &&
        part.text === undefined &&
        Object.keys(part).some((name) => name !== 'thoughtSignature');
    } else if (last !== undefined && isPlainText(last) && (last.thought === true) === isThought) {
      last.text += part.text;
    } else if (part.text !== '') {
      this.#parts.push({ ...part });
    }
  }

  /** The result of the whole stream, once it has ended. */
  outcome(): Outcome {
    if (this.#refusal) {
      const { reason, what } = this.#refusal;
      const message = `${what} by Gemini (${reason}): put the request in other words.`;
      return { type: 'blocked', reason, message, partial: this.#text };
    }
    const reason = this.#finishReason;
    if (reason === undefined) return this.#unfinished();
    const said = this.#finishMessage ? `: ${this.#finishMessage.replace(/\.$/, '')}` : '';
    if (accidents.test(reason)) {
      return { type: 'incomplete', reason, message: `The model gave up on the answer (${reason}${said}).` };
    }
    if (this.#text.trim() === '' && !this.#hasOtherContent) {
      const hint =
        reason === 'MAX_TOKENS'
          ? 'The model used up its output tokens before the first word: raise maxOutputTokens or lower thinkingLevel.'
          : `The model ended its answer without any content (${reason}${said}).`;
      return { type: 'incomplete', reason: reason === 'MAX_TOKENS' ? reason : 'EMPTY_ANSWER', message: hint };
    }
    return {
      type: 'finish',
      event: {
        type: 'finish',
        finishReason: finishReasons.get(reason) ?? 'unknown',
        ...(this.#usageMetadata ? { usage: readUsage(this.#usageMetadata) } : {}),
        ...(this.#modelVersion ? { info: { modelVersion: this.#modelVersion } } : {}),
        parts: this.#parts.map((part) => toMessagePart(part)),
      },
    };
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
