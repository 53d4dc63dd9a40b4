import type { FinishReason, Usage } from '../../core/turn.js';
import type { ModelEvent } from '../chat-model.js';
import { toMessagePart } from './gemini-parts.js';

type Json = Readonly<Record<string, unknown>>;
type TextEvent = Extract<ModelEvent, { type: 'text' | 'thought' }>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string | undefined =>
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

/** The model stumbled; the same prompt may well succeed next time. */
const stumbles = /^(?:OTHER|MALFORMED_\w+|UNEXPECTED_TOOL_CALL|TOO_MANY_TOOL_CALLS|NO_IMAGE)$/;

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

/**
 * Puts the chunks of one reply together: text and thoughts apart for reading, parts verbatim for
 * sending back.
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

  /** Whether the reply was refused; nothing that follows matters. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Takes one chunk and gives back what is new to read in it. */
  push(chunk: unknown): readonly TextEvent[] {
    if (!isObject(chunk)) return [];
    this.#isGemini ||= 'candidates' in chunk || 'promptFeedback' in chunk || 'usageMetadata' in chunk;
    if (isObject(chunk.usageMetadata))
      this.#usageMetadata = { ...this.#usageMetadata, ...chunk.usageMetadata };
    this.#modelVersion = textOf(chunk.modelVersion) ?? this.#modelVersion;
    const blockReason = isObject(chunk.promptFeedback) ? textOf(chunk.promptFeedback.blockReason) : undefined;
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
    const reason = textOf(candidate.finishReason);
    if (reason) {
      // Some models repeat STOP in every chunk: it ends nothing, only the end of the stream does.
      this.#finishReason = reason;
      this.#finishMessage = textOf(candidate.finishMessage);
      if (isRefusal(reason)) this.#refusal ??= { reason, what: 'The answer was stopped' };
    }
    return events;
  }

  #pushPart(part: Json, events: TextEvent[]): void {
    const isThought = part.thought === true;
    const text = textOf(part.text);
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

  /** What the whole stream amounts to, once it has ended. */
  outcome(): Outcome {
    if (this.#refusal) {
      const { reason, what } = this.#refusal;
      const message = `${what} by Gemini (${reason}): put the request in other words.`;
      return { type: 'blocked', reason, message, partial: this.#text };
    }
    const reason = this.#finishReason;
    if (reason === undefined) return this.#unfinished();
    const said = this.#finishMessage ? `: ${this.#finishMessage.replace(/\.$/, '')}` : '';
    if (stumbles.test(reason)) {
      return { type: 'incomplete', reason, message: `The model gave up on the answer (${reason}${said}).` };
    }
    if (this.#text.trim() === '' && !this.#hasOtherContent) {
      const hint =
        reason === 'MAX_TOKENS'
          ? 'The model used up its output tokens before the first word: raise maxOutputTokens or let it think less.'
          : `The model ended its answer without saying anything (${reason}${said}).`;
      return { type: 'incomplete', reason: reason === 'MAX_TOKENS' ? reason : 'EMPTY_ANSWER', message: hint };
    }
    const known: Readonly<Record<string, FinishReason>> = { STOP: 'stop', MAX_TOKENS: 'max-tokens' };
    return {
      type: 'finish',
      event: {
        type: 'finish',
        finishReason: known[reason] ?? 'unknown',
        ...(this.#usageMetadata ? { usage: readUsage(this.#usageMetadata) } : {}),
        ...(this.#modelVersion ? { modelVersion: this.#modelVersion } : {}),
        parts: this.#parts.map(toMessagePart),
      },
    };
  }

  #unfinished(): Outcome {
    if (this.#isGemini) {
      const message = 'The answer ended without a finish reason, so part of it may be missing.';
      return { type: 'incomplete', reason: 'NO_FINISH_REASON', message };
    }
    const message =
      'Gemini sent no answer at all: if this happens again, check the base URL and any proxy in between.';
    return { type: 'incomplete', reason: 'EMPTY_REPLY', message };
  }
}
