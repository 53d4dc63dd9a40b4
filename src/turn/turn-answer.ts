import type { Attempt } from '../core/failure.js';
import type { PreparedMedia } from '../core/media.js';
import type { AnswerInfo, Message } from '../core/message.js';
import type { FinishReason } from '../core/turn.js';
import type { Usage } from '../core/usage.js';
import type { GeneratedFile } from '../model/chat-model.js';
import type { PendingCall } from './reply.js';

/** What a turn came to, in one step or in several. */
export interface TurnAnswer {
  /** The record of it: what follows the user's message. */
  readonly messages: readonly Message[];
  readonly text: string;
  readonly thoughts: string;
  readonly files: readonly GeneratedFile[];
  readonly model: string;
  /** The checked value of an answer to a question with `output`. */
  readonly object?: { readonly value: unknown } | undefined;
  readonly usage: Usage | undefined;
  readonly finishReason: FinishReason;
  readonly info: AnswerInfo | undefined;
  readonly attempts: readonly Attempt[];
  readonly queueMs: number;
  readonly firstTokenMs: number | undefined;
  readonly pending: readonly PendingCall[];
  /** Media that tools gave. */
  readonly toolMedia: readonly PreparedMedia[];
}
