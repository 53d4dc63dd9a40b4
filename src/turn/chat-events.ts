import type { MultimodalChatError } from '../core/errors.js';
import type { Attempt, Failure } from '../core/failure.js';
import type { MediaProgress } from '../core/media.js';
import type { FinishReason } from '../core/turn.js';
import type { Usage } from '../core/usage.js';
import type { KeyEvent } from '../keys/key-pool.js';
import type { Reply } from './reply.js';

interface Span {
  /** Unique within the process. */
  readonly id: string;
  /** The span that it is part of; absent for a `call`. */
  readonly parentId?: string | undefined;
  /** Id of the `call` span. Unlike a turn's id, it is never used twice. */
  readonly callId: string;
  readonly tenant: string;
  readonly sessionId: string;
  readonly turnId: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** One question from beginning to end, or the making of a summary after one. */
export interface CallSpan extends Span {
  readonly kind: 'call';
  readonly purpose: 'answer' | 'summary';
  /** The model that was asked for; another may answer. */
  readonly model: string;
}

/** The preparation of one attachment. */
export interface MediaSpan extends Span {
  readonly kind: 'media';
  /** Position of the attachment in the request. */
  readonly index: number;
}

/** The reading of memory. */
export interface RecallSpan extends Span {
  readonly kind: 'recall';
}

/** Waiting for a key. */
export interface LeaseSpan extends Span {
  readonly kind: 'lease';
  readonly model: string;
}

/** One call to a model. */
export interface AttemptSpan extends Span {
  readonly kind: 'attempt';
  /** From 1. */
  readonly attempt: number;
  readonly provider: string;
  readonly model: string;
  /** Masked id of the key; absent for a model that needs none. */
  readonly keyId?: string | undefined;
  /** Whether it is a second call beside one that is late (option `hedge`). */
  readonly isHedge?: boolean | undefined;
}

/** The run of one tool. */
export interface ToolSpan extends Span {
  readonly kind: 'tool';
  readonly name: string;
  readonly toolCallId: string;
}

/** The writing of a turn, or of a summary. */
export interface StoreSpan extends Span {
  readonly kind: 'store';
}

/** A piece of work that begins and ends. */
export type ChatSpan = CallSpan | MediaSpan | RecallSpan | LeaseSpan | AttemptSpan | ToolSpan | StoreSpan;

/** How a span ended. Which of the optional fields are there depends on its kind. */
export interface SpanOutcome {
  /** `cancelled`: the caller left or aborted, or another call answered first. */
  readonly outcome: 'ok' | 'failed' | 'cancelled';
  readonly durationMs: number;
  /** Why it failed. */
  readonly error?: unknown;
  /** Of an attempt that failed. */
  readonly failure?: Failure | undefined;
  /** Of a call or attempt that was answered. */
  readonly usage?: Usage | undefined;
  readonly finishReason?: FinishReason | undefined;
  /** Of a call: the model that answered. */
  readonly answeredBy?: string | undefined;
  /** Of an attachment: its media type and estimated input tokens. */
  readonly mimeType?: string | undefined;
  readonly estimatedTokens?: number | undefined;
  /** Of a recall: how many recent turns were read, and how many older ones were found. */
  readonly recentTurns?: number | undefined;
  readonly recalledTurns?: number | undefined;
  /** Of a call for a summary: how many turns were added to it. */
  readonly summarizedTurns?: number | undefined;
  /** Of a lease: the key and its project. */
  readonly keyId?: string | undefined;
  readonly project?: string | undefined;
}

/** A span that has ended. */
export type EndedSpan = ChatSpan & SpanOutcome;

/** What `MultimodalChat` emits. A listener that throws never breaks a call. */
export interface ChatEvents {
  /** A piece of work begins; exactly one `span-end` with the same `id` follows. */
  'span-start': (span: ChatSpan) => void;
  /** A piece of work has ended. */
  'span-end': (span: EndedSpan) => void;
  /** An attempt failed and another follows after `delayMs`. */
  retry: (event: {
    tenant: string;
    sessionId: string;
    turnId: string;
    failed: Attempt;
    failure: Failure;
    delayMs: number;
    model: string;
  }) => void;
  /** A key was cooled, disabled, recovered, or a limit was learned. */
  key: (event: KeyEvent) => void;
  /** How far the preparation of an attachment has come. */
  media: (event: {
    tenant: string;
    sessionId: string;
    turnId: string;
    index: number;
    progress: MediaProgress;
  }) => void;
  reply: (event: { tenant: string; reply: Reply }) => void;
  /**
   * A call failed for good, or memory failed beside a call that succeeded. Without a session when old
   * turns could not be forgotten.
   */
  failure: (event: {
    tenant?: string | undefined;
    sessionId?: string | undefined;
    turnId?: string | undefined;
    error: MultimodalChatError;
  }) => void;
}
