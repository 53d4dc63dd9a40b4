import type { MediaKind } from './media.js';

/** Tokens that a reply cost, as the model reported them. */
export interface Usage {
  readonly inputTokens: number;
  /** Visible output, without thoughts. */
  readonly outputTokens: number;
  readonly thoughtTokens: number;
  readonly totalTokens: number;
  readonly cachedInputTokens?: number | undefined;
}

/** Why a reply ended. Reasons that mean a refusal are thrown as `BlockedError` instead. */
export type FinishReason = 'stop' | 'max-tokens' | 'unknown';

/** Whose conversation it is. Both names are opaque: any non-empty string, never used as a path. */
export interface Conversation {
  readonly tenant: string;
  readonly sessionId: string;
}

/** What memory keeps about an attachment of a turn. */
export interface TurnMedia {
  readonly kind: MediaKind;
  readonly name: string;
  /** As in `PreparedMedia`. */
  readonly fingerprint: string;
  readonly mimeType: string;
  readonly durationMs?: number | undefined;
  /** Timestamps of the frames that the model saw, in milliseconds. */
  readonly frameTimestampsMs?: readonly number[] | undefined;
}

/** One exchange: what the user said and what the model answered. */
export interface Turn extends Conversation {
  /** Unique within the conversation; appending a known id again changes nothing. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly prompt: string;
  /** The visible text of the answer; empty where only an utterance is recorded. */
  readonly reply: string;
  readonly media?: readonly TurnMedia[] | undefined;
  /** The model that answered. */
  readonly model?: string | undefined;
  /**
   * The answer's parts exactly as the model gave them, JSON-serialisable. They carry thought
   * signatures, which must go back verbatim.
   */
  readonly replyParts?: readonly unknown[] | undefined;
  readonly usage?: Usage | undefined;
}

/** A turn that was found by meaning. */
export interface RecalledTurn {
  readonly turn: Turn;
  /** From 0 to 1 within one answer; comparable only there. */
  readonly score: number;
}
