import type { MultimodalChatError } from '../core/errors.js';
import type { Attempt, Failure } from '../core/failure.js';
import type { MediaProgress } from '../core/media.js';
import type { KeyEvent } from '../keys/key-pool.js';
import type { Reply } from './reply.js';

/** What `MultimodalChat` emits. A listener that throws never breaks a call. */
export interface ChatEvents {
  /** A call to the model begins. */
  attempt: (event: {
    sessionId: string;
    turnId: string;
    model: string;
    keyId: string;
    attempt: number;
    isHedge?: boolean | undefined;
  }) => void;
  /** An attempt failed and another follows after `delayMs`. */
  retry: (event: {
    sessionId: string;
    turnId: string;
    failed: Attempt;
    failure: Failure;
    delayMs: number;
    model: string;
  }) => void;
  /** A key was cooled, disabled, recovered, or a limit was learned. */
  key: (event: KeyEvent) => void;
  media: (event: { sessionId: string; turnId: string; index: number; progress: MediaProgress }) => void;
  /** Memory was read or written; `summarise` comes after the answer of the turn, when turns were added to a summary. */
  memory: (event: {
    sessionId: string;
    turnId: string;
    action: 'recall' | 'append' | 'forget' | 'summarise';
    turns: number;
    durationMs: number;
  }) => void;
  reply: (event: { tenant: string; reply: Reply }) => void;
  /**
   * A call failed for good, or memory failed beside a call that succeeded. Without a session when old
   * turns could not be forgotten.
   */
  failure: (event: {
    sessionId?: string | undefined;
    turnId?: string | undefined;
    error: MultimodalChatError;
  }) => void;
}
