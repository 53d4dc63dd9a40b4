import { randomUUID } from 'node:crypto';
import type { Part } from '@google/genai';
import type {
  CodePart,
  CodeResultPart,
  JsonValue,
  MessagePart,
  ProviderMetadata,
  ProviderPart,
  ReasoningPart,
  TextPart,
  ToolCallPart,
} from '../../core/message.js';
import { isObject } from './json.js';

/** Key of Gemini's entries in `providerMetadata` and `providerOptions`. */
export const providerName = 'google';

type Fields = Readonly<Record<string, unknown>>;
type JsonFields = { readonly [key: string]: JsonValue | undefined };

const outcomes: ReadonlyMap<unknown, CodeResultPart['outcome']> = new Map([
  ['OUTCOME_OK', 'ok'],
  ['OUTCOME_DEADLINE_EXCEEDED', 'timeout'],
]);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/**
 * A part of an answer as it goes into the record. Everything beside its plain text is kept as metadata, so
 * that `fromMessagePart` restores it exactly: a thought signature is only valid on its own part. Generated
 * files are left to `toGeneratedFile`.
 */
export function toMessagePart(
  part: Fields,
): TextPart | ReasoningPart | ToolCallPart | CodePart | CodeResultPart | ProviderPart {
  // Most parts of a stream are like this.
  if (typeof part.text === 'string' && Object.keys(part).length === 1)
    return { type: 'text', text: part.text };
  const { codeExecutionResult, executableCode, functionCall, text, ...rest } = part;
  const isOther = [codeExecutionResult, executableCode, functionCall].some((value) => value !== undefined);
  // `part` is the metadata field of a part that is kept whole.
  if (typeof text === 'string' && !isOther && !('part' in rest)) {
    const { thought, ...beside } = rest;
    if (thought === true) return { type: 'reasoning', text, ...metadataOf(beside) };
    return { type: 'text', text, ...metadataOf(rest) };
  }
  const providerMetadata = { [providerName]: { part: part as JsonFields } };
  if (isObject(executableCode)) {
    const language = textOf(executableCode.language).toLowerCase();
    return {
      type: 'code',
      code: textOf(executableCode.code),
      ...(language !== '' && !language.endsWith('_unspecified') && { language }),
      providerMetadata,
    };
  }
  if (isObject(codeExecutionResult)) {
    const outcome = outcomes.get(codeExecutionResult.outcome) ?? 'failed';
    return { type: 'code-result', outcome, output: textOf(codeExecutionResult.output), providerMetadata };
  }
  if (!isObject(functionCall) || typeof functionCall.name !== 'string') {
    return { type: 'provider', providerMetadata };
  }
  const { args, id, name } = functionCall;
  return {
    type: 'tool-call',
    // Gemini may leave the id out, also of two calls of the same function.
    callId: typeof id === 'string' && id !== '' ? id : randomUUID(),
    name,
    input: (args ?? {}) as JsonValue,
    providerMetadata,
  };
}

/** The part exactly as Gemini gave it; undefined if it is not from Gemini and has no plain form. */
export function fromMessagePart(part: Pick<MessagePart, 'type' | 'providerMetadata'>): Part | undefined {
  const own = part.providerMetadata?.[providerName];
  if (own?.part !== undefined) return own.part as Part;
  const { text, type } = part as TextPart | ReasoningPart;
  if (type === 'text') return { text, ...own } as Part;
  if (type === 'reasoning') return { text, thought: true, ...own } as Part;
  return undefined;
}

/** The metadata of a part that has these fields beside its content. */
export function metadataOf(fields: Fields): { readonly providerMetadata?: ProviderMetadata } {
  if (Object.keys(fields).length === 0) return {};
  return { providerMetadata: { [providerName]: fields as JsonFields } };
}
