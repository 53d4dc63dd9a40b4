import type { Clock } from '../core/clock.js';
import type { MediaSource } from '../core/media.js';
import type { JsonValue, Message } from '../core/message.js';
import type { CheckedSchema } from '../core/schema.js';
import type { Tool, ToolChoice } from '../core/tool.js';
import type { Turn } from '../core/turn.js';
import type { BuiltInTools, GenerationOptions, ProviderOptions } from '../model/chat-model.js';

/** One question, validated. */
export interface TurnRequest {
  readonly prompt: string;
  /** Of the caller; a stored turn with this id is replaced. */
  readonly turnId?: string | undefined;
  /** Messages of the caller in place of what memory holds. */
  readonly history?: readonly Message[] | undefined;
  /** Of the caller; without one, a turn that follows `history` is not stored. */
  readonly sessionId?: string | undefined;
  readonly media: readonly MediaSource[];
  readonly model?: string | undefined;
  readonly systemInstruction?: string | undefined;
  readonly generation?: GenerationOptions | undefined;
  readonly builtIn?: BuiltInTools | undefined;
  /** In place of those of the chat. */
  readonly tools?: readonly Tool[] | undefined;
  readonly toolChoice?: ToolChoice | undefined;
  readonly maxSteps?: number | undefined;
  /** What the answer must be. */
  readonly output?: CheckedSchema | undefined;
  readonly providerOptions?: ProviderOptions | undefined;
  readonly priority: 'interactive' | 'batch';
  /** Goes on with a stored turn that waited for decisions. */
  readonly resume?: { readonly turn: Turn; readonly decisions: Decisions } | undefined;
}

/** What was decided about pending calls, by the id of the call. */
export interface Decisions {
  /** Whether a call may run. */
  readonly approvals: ReadonlyMap<string, boolean>;
  /** The results of calls that the app ran. */
  readonly results: ReadonlyMap<string, JsonValue>;
}

/** How much of memory and media goes into a request. */
interface ContextSettings {
  /** Bytes that the attachments of one call may have together as they are sent. */
  readonly mediaBytes: number;
  /** Tokens that the attachments of one call may cost together. */
  readonly mediaTokens: number;
  /** Tokens of earlier attachments that are attached again. */
  readonly earlierMediaTokens: number;
  /** Tokens of the result of one tool call. */
  readonly toolResultTokens: number;
  /** Tokens of recent turns that are sent verbatim. The latest turn is always sent whole. */
  readonly recentTokens: number;
  /** At most this many recent turns are read. */
  readonly recentTurns: number;
  /** Tokens of older turns that were found by meaning. */
  readonly recallTokens: number;
  /** At most this many turns are recalled; 0 turns recall off. */
  readonly recallTurns: number;
  /** A summary of the turns that are no longer sent verbatim. */
  readonly summary?: SummarySettings | undefined;
}

export interface SummarySettings {
  /** Default: the summary model of the chat's provider. */
  readonly model?: string | undefined;
  /** Tokens of a request that the summary may take. */
  readonly maxTokens: number;
  /** The summary is extended once the turns to add reach this number of tokens. */
  readonly everyTokens: number;
}

/** What holds for every turn of a chat. */
export interface TurnSettings {
  readonly clock: Clock;
  readonly context: ContextSettings;
  readonly generation: GenerationOptions;
  readonly builtIn?: BuiltInTools | undefined;
  readonly tools: readonly Tool[];
  readonly toolChoice?: ToolChoice | undefined;
  readonly maxSteps: number;
  readonly timeouts: { readonly toolMs: number };
  readonly providerOptions?: ProviderOptions | undefined;
  readonly systemInstruction?: string | undefined;
  readonly hedge?: { readonly afterMs: number } | undefined;
}
