import { randomUUID } from 'node:crypto';
import type { Part } from '@google/genai';
import type {
  JsonValue,
  MessagePart,
  ProviderMetadata,
  ProviderPart,
  ReasoningPart,
  TextPart,
  ToolCallPart,
} from '../../core/message.js';

/** Key of Gemini's entries in `providerMetadata` and `providerOptions`. */
export const providerName = 'google';

type Fields = Readonly<Record<string, unknown>>;
type JsonFields = { readonly [key: string]: JsonValue | undefined };

/**
 * A part of an answer as it goes into the record. Everything beside its plain text is kept as metadata, so
 * that `fromMessagePart` restores it exactly: a thought signature is only valid on its own part.
 */
export function toMessagePart(part: Fields): TextPart | ReasoningPart | ToolCallPart | ProviderPart {
  const { functionCall, text, ...rest } = part;
  // `part` is the metadata field of a part that is kept whole.
  if (typeof text === 'string' && functionCall === undefined && !('part' in rest)) {
    const { thought, ...beside } = rest;
    if (thought === true) return { type: 'reasoning', text, ...metadataOf(beside) };
    return { type: 'text', text, ...metadataOf(rest) };
  }
  const providerMetadata = { [providerName]: { part: part as JsonFields } };
  const call = functionCall as { id?: unknown; name?: unknown; args?: unknown } | undefined;
  if (typeof call?.name !== 'string') return { type: 'provider', providerMetadata };
  const { args, id, name } = call;
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
export function fromMessagePart(part: MessagePart): Part | undefined {
  const own = part.providerMetadata?.[providerName];
  if (own?.part !== undefined) return own.part as Part;
  switch (part.type) {
    case 'text':
      return { text: part.text, ...own } as Part;
    case 'reasoning':
      return { text: part.text, thought: true, ...own } as Part;
    default:
      return undefined;
  }
}

function metadataOf(fields: Fields): { readonly providerMetadata?: ProviderMetadata } {
  if (Object.keys(fields).length === 0) return {};
  return { providerMetadata: { [providerName]: fields as JsonFields } };
}
