import type { Attempt, Failure } from '../core/failure.js';
import type { MediaProgress, PreparedMedia } from '../core/media.js';
import type {
  AnswerInfo,
  CodePart,
  CodeResultPart,
  JsonValue,
  SourcePart,
  ToolCallPart,
  ToolResultPart,
} from '../core/message.js';
import type { AnySchema, SchemaOutput } from '../core/schema.js';
import type { FinishReason, RecalledTurn } from '../core/turn.js';
import type { TurnMedia } from '../core/turn-media.js';
import type { Usage } from '../core/usage.js';
import type { AnswerEvent, GeneratedFile } from '../model/chat-model.js';

/** Where the time of one call went, in milliseconds. */
export interface Timings {
  readonly totalMs: number;
  readonly mediaMs: number;
  readonly memoryMs: number;
  /** Waiting for a key, all attempts together. */
  readonly queueMs: number;
  /** From the start of the call to the first visible text. */
  readonly firstTokenMs?: number | undefined;
}

/** Code that the provider ran, and what it printed. */
export interface ExecutedCode extends Omit<CodePart, 'type' | 'providerMetadata'> {
  /** Absent if no result came. */
  readonly result?: Omit<CodeResultPart, 'type' | 'providerMetadata'> | undefined;
}

/** A tool call that somebody has to decide about: see `chat.resume()`. */
export interface PendingCall {
  readonly callId: string;
  readonly name: string;
  readonly input: JsonValue;
  /** `approval`: a person has to allow it. `result`: the tool has no `execute`, so the app gives the result. */
  readonly needs: 'approval' | 'result';
}

/** A finished answer. */
export interface Reply extends AnswerInfo {
  readonly text: string;
  /** Thought summaries, when they were asked for; kept apart from the text. */
  readonly thoughts: string;
  /** Pictures and sound that the model generated. Their bytes are not part of the reply's JSON. */
  readonly files: readonly GeneratedFile[];
  /** What the answer is based on or quotes. */
  readonly sources: readonly SourcePart[];
  /** Code that the provider ran. */
  readonly code: readonly ExecutedCode[];
  /** Calls of tools, and of functions that were declared in `providerOptions`, which are not run. */
  readonly toolCalls: readonly ToolCallPart[];
  /** What the tools gave. */
  readonly toolResults: readonly ToolResultPart[];
  /** The answer as `output` asks for it. Read while calls are `pending`, it throws an `OutputError`. */
  readonly object?: unknown;
  /** Calls that somebody has to decide about before the answer goes on. Usually empty. */
  readonly pending: readonly PendingCall[];
  readonly sessionId: string;
  readonly turnId: string;
  readonly model: string;
  readonly usage?: Usage | undefined;
  readonly finishReason: FinishReason;
  readonly media: readonly PreparedMedia[];
  /** Attachments of earlier turns that the prompt was about and that were shown again. */
  readonly reattachedMedia: readonly TurnMedia[];
  /** Earlier turns that were found by meaning and shown to the model, oldest first. */
  readonly recalled: readonly RecalledTurn[];
  /** How many recent turns were sent verbatim. */
  readonly recentTurns: number;
  /** How many of the first turns were shown to the model as a summary; 0 with `context.summary` off. */
  readonly summarizedTurns: number;
  readonly attempts: readonly Attempt[];
  readonly timings: Timings;
  /** Whether the turn is durably stored. `false` with memory off, or when storing failed (see the `failure` event). */
  readonly stored: boolean;
}

/** A reply to a question with this `output`. */
export type ReplyWith<Output> = [Output] extends [AnySchema]
  ? Reply & { readonly object: SchemaOutput<Output> }
  : Reply;

/** What `chat.stream()` yields, in this order: media and recall (interleaved), then attempts with their text, then done. */
export type ChatStreamEvent =
  | {
      readonly type: 'media';
      /** Position of the attachment in the request. */
      readonly index: number;
      readonly progress: MediaProgress;
      /** Present once `progress.stage` is `ready`. */
      readonly media?: PreparedMedia | undefined;
    }
  | { readonly type: 'recall'; readonly turns: readonly RecalledTurn[]; readonly recentTurns: number }
  | {
      readonly type: 'attempt';
      readonly attempt: number;
      readonly model: string;
      /** Masked id of the key; absent for a model that needs none. */
      readonly keyId?: string | undefined;
      /** Whether it is a second call beside one that is late (option `hedge`). */
      readonly isHedge?: boolean | undefined;
    }
  | AnswerEvent
  | {
      readonly type: 'tool-result';
      readonly result: ToolResultPart;
      /** The media of the result, as the model is shown them. */
      readonly media: readonly PreparedMedia[];
    }
  | {
      readonly type: 'object';
      /** What is there so far of the answer to a question with `output`; not checked yet. */
      readonly object: JsonValue;
    }
  /** Discard everything received so far, thoughts included: another attempt starts the answer again. What is still true of it, such as results of tools, is sent again. */
  | { readonly type: 'restart'; readonly failure: Failure }
  | { readonly type: 'done'; readonly reply: Reply };
