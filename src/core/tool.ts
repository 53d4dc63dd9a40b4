import type { JsonValue } from './message.js';
import type { Conversation } from './turn.js';

/** A JSON schema, draft 2020-12 or 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a model is told about a tool. */
export interface ToolDeclaration {
  readonly name: string;
  readonly description: string;
  /** Of an object. */
  readonly inputSchema: JsonSchema;
}

/** `auto`: the model decides. `none`: it may call nothing, not even built-in tools. `required`, or a name: it has to. */
export type ToolChoice =
  | 'auto'
  | 'none'
  | 'required'
  | {
      /** Name of the only tool that may be called, and must be. */
      readonly name: string;
    };

/** What a tool knows of the call that it runs for. */
export interface ToolContext {
  /** The same for the same call, also after a restart: hand it on as an idempotency key. */
  readonly callId: string;
  readonly conversation: Conversation;
  readonly turnId: string;
  /** Aborts when the call is cancelled or the tool has taken too long. */
  readonly signal: AbortSignal;
}

/** The input of a call as the tool takes it, or why it does not. */
export type ParsedInput =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: string };

/** A function that a model may call. Made with `tool()`. */
export interface Tool extends ToolDeclaration {
  readonly parse: (input: JsonValue) => Promise<ParsedInput>;
  /** Absent: the app gives the result, see `chat.resume()`. */
  readonly execute?: ((input: unknown, context: ToolContext) => unknown) | undefined;
  /** Whether a person has to allow the call first. */
  readonly needsApproval?: ((input: unknown, context: ToolContext) => boolean | Promise<boolean>) | undefined;
  readonly timeoutMs?: number | undefined;
  readonly repeatable?: boolean | undefined;
}
