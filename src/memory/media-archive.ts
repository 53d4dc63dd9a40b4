import type { MediaKind, MediaSourceInfo, PreparedMedia, PreparedPart } from '../core/media.js';
import type { Conversation } from '../core/turn.js';
import type { ForgetTarget } from './memory-store.js';

/** An attachment of an earlier turn, without its bytes. */
export interface ArchivedMedia {
  /** Unique within its conversation. */
  readonly id: string;
  readonly kind: MediaKind;
  readonly name: string;
  /** Hex SHA-256 of the source bytes. */
  readonly fingerprint: string;
  readonly source: MediaSourceInfo;
  /** In the order in which the model saw them. */
  readonly parts: readonly Omit<PreparedPart, 'data'>[];
  /** Estimated input tokens of all parts, in the detail in which they were shown. */
  readonly estimatedTokens: number;
  /** When it was attached for the first time, in milliseconds since the epoch. */
  readonly firstAt: number;
  /** When it was attached for the last time, in milliseconds since the epoch. */
  readonly lastAt: number;
}

export interface MediaArchiveStats {
  readonly items: number;
  readonly bytes: number;
}

/**
 * Keeps attachments as the model was shown them, so that a later question about them can show them
 * again.
 *
 * An implementer owes:
 * - nothing is ever read across conversations or tenants, whatever the names contain.
 * - `forget` removes what it names for good; what is forgotten `before` a date was last attached then.
 * - it is bounded: what was attached longest ago goes first.
 * - failures are `MemoryError`; what is missing or damaged is as if it had never been there.
 *
 * Shipped: `DiskMediaArchive`.
 */
export interface MediaArchive {
  /** @param at when it was attached, in milliseconds since the epoch. */
  keep(conversation: Conversation, media: PreparedMedia, at: number): Promise<void>;
  /** The attachments of a conversation in the order in which they first came. */
  list(conversation: Conversation): Promise<readonly ArchivedMedia[]>;
  /** The bytes of the parts, in order; nothing when it is gone. */
  load(conversation: Conversation, id: string): Promise<readonly Uint8Array[] | undefined>;
  forget(target: ForgetTarget): Promise<void>;
  stats(): Promise<MediaArchiveStats>;
  close(): Promise<void>;
}
