import type { TurnMedia } from './turn-media.js';

/** Anything that JSON can hold. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/**
 * What only one provider understands, by the provider's name. Kept with the part that it came with and
 * sent back unchanged to the model that gave it, for example Gemini's thought signatures.
 */
export type ProviderMetadata = Readonly<Record<string, { readonly [key: string]: JsonValue | undefined }>>;

interface PartBase {
  readonly providerMetadata?: ProviderMetadata | undefined;
}

export interface TextPart extends PartBase {
  readonly type: 'text';
  readonly text: string;
}

/** A summary of what the model thought. Never shown as part of the answer. */
export interface ReasoningPart extends PartBase {
  readonly type: 'reasoning';
  readonly text: string;
}

/** An attachment of the user's. Its bytes are in the media archive, if anywhere. */
export interface MediaPart extends PartBase {
  readonly type: 'media';
  readonly media: TurnMedia;
}

/** The model asks for a tool to be run. */
export interface ToolCallPart extends PartBase {
  readonly type: 'tool-call';
  /** Unique within the turn. */
  readonly callId: string;
  readonly name: string;
  readonly input: JsonValue;
}

/** What a tool answered. */
export interface ToolResultPart extends PartBase {
  readonly type: 'tool-result';
  readonly callId: string;
  readonly name: string;
  readonly output: JsonValue;
  /** Whether the tool failed; `output` says how. */
  readonly isError?: boolean | undefined;
  /** Pictures, sound and the like that go with the result. */
  readonly media?: readonly TurnMedia[] | undefined;
}

/** A file that the model made. Its bytes are in the media archive, if anywhere. */
export interface FilePart extends PartBase {
  readonly type: 'file';
  readonly mimeType: string;
  /** Hex SHA-256 of its bytes. */
  readonly fingerprint: string;
  readonly bytes: number;
  readonly name?: string | undefined;
}

/** What the model based its answer on. */
export interface SourcePart extends PartBase {
  readonly type: 'source';
  readonly kind: 'web' | 'map' | 'file' | 'media';
  readonly title?: string | undefined;
  readonly url?: string | undefined;
}

/** Something that only `providerMetadata` describes, such as code that the service ran itself. */
export interface ProviderPart extends PartBase {
  readonly type: 'provider';
  readonly providerMetadata: ProviderMetadata;
}

export type MessagePart =
  | TextPart
  | ReasoningPart
  | MediaPart
  | ToolCallPart
  | ToolResultPart
  | FilePart
  | SourcePart
  | ProviderPart;

/** Which model said something. */
export interface MessageOrigin {
  /** `provider` of the `ChatModel`. */
  readonly provider: string;
  readonly model: string;
}

/** What one side said, as a list of parts in order. JSON-serializable. */
export interface Message {
  /** `tool` holds the results of the calls in the message before it. */
  readonly role: 'user' | 'assistant' | 'tool';
  readonly parts: readonly MessagePart[];
  /** The model that said it; only of role `assistant`. */
  readonly origin?: MessageOrigin | undefined;
  readonly providerMetadata?: ProviderMetadata | undefined;
}

/** The text of all messages of a role, without reasoning. */
export function textOfMessages(messages: readonly Message[], role: Message['role']): string {
  return messages
    .filter((message) => message.role === role)
    .flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])))
    .join('');
}
