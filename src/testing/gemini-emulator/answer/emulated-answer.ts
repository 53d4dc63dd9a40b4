import type { RecordedCall } from '../journal/recorded-call.js';
import type { WireCandidate, WirePart, WireUsage } from '../wire/messages.js';

/**
 * An answer that is more than text, sent as it is.
 *
 * @example
 * ```ts
 * emulator.say({
 *   parts: ['Here is a cat.', picturePart('a cat', { width: 640, height: 480 })],
 *   candidate: { finishMessage: 'Made with care.' },
 * });
 * emulator.say({ parts: [callPart('find_order', { id: '7' }), callPart('find_order', { id: '8' })] });
 * ```
 */
export interface EmulatedAnswer {
  /**
   * In order. A string is text, streamed in several chunks and subject to limits of length; any other part
   * comes in a chunk of its own. Thought signatures are added where Gemini has them: to the first of several
   * function calls, to each picture and to the last text.
   */
  readonly parts: readonly (string | WirePart)[];
  /** Further fields of the candidate in the last chunk, such as `finishReason` and `groundingMetadata`. */
  readonly candidate?: Omit<WireCandidate, 'content' | 'index' | 'continuationToken'> | undefined;
  /** Counts in place of the emulator's own. One that is `undefined` is not sent. */
  readonly usage?: WireUsage | undefined;
  /** In place of the emulator's option. */
  readonly continueAfterCharacters?: number | undefined;
}

/** A text is completed by what the request asks for: sources, code, a picture, sound. */
export type AnswerContent = string | EmulatedAnswer;

/** An answer, or a function that makes it from the call. */
export type ScriptedAnswer = AnswerContent | ((call: RecordedCall) => AnswerContent);

export const isScriptedAnswer = (value: unknown): value is ScriptedAnswer =>
  typeof value === 'string' ||
  typeof value === 'function' ||
  (typeof value === 'object' && value !== null && 'parts' in value && Array.isArray(value.parts));

/** Splits parts after so many characters of text. The rest is empty if the text is not longer. */
export function splitParts(
  parts: EmulatedAnswer['parts'],
  characters: number,
): readonly [head: EmulatedAnswer['parts'], rest: EmulatedAnswer['parts']] {
  let left = characters;
  for (const [index, part] of parts.entries()) {
    if (typeof part !== 'string') continue;
    if (part.length > left) {
      const head = left > 0 ? [part.slice(0, left)] : [];
      return [
        [...parts.slice(0, index), ...head],
        [part.slice(left), ...parts.slice(index + 1)],
      ];
    }
    left -= part.length;
  }
  return [parts, []];
}

export const textOfParts = (parts: EmulatedAnswer['parts']): string =>
  parts.map((part) => (typeof part === 'string' ? part : '')).join('');
