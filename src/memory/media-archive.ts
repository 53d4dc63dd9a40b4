import type { MediaKind, MediaSourceInfo, PreparedMedia, PreparedPart } from '../core/media.js';
import type { Conversation } from '../core/turn.js';
import type { ForgetTarget } from './memory-store.js';

/** Which attachments to drop: by conversation, tenant and date, or those of one conversation by their fingerprints. */
export type ArchiveForgetTarget =
  | Extract<ForgetTarget, { readonly turnId?: never }>
  | (Conversation & { readonly fingerprints: readonly string[]; readonly before?: never });

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
 * again. A cache: losing an attachment costs the model a look at it, no turn.
 *
 * An implementer owes:
 * - nothing is ever read across conversations or tenants, whatever the names contain.
 * - an attachment shown the same way again is kept once, with a new `lastAt`. One whose parts name a
 *   `path` is not kept: the file belongs to the caller.
 * - `forget` removes what its target names for good, and nothing else; `before` a date means last attached
 *   before it.
 * - it is bounded: the attachments that were attached longest ago go first.
 * - any number of concurrent calls. Failures are `MemoryError`, calls after `close` a `ClosedError`; a
 *   missing or damaged attachment is as if it had never been kept.
 *
 * Shipped: {@link DiskMediaArchive} and {@link InProcessMediaArchive}. Both pass `mediaArchiveContract`
 * from `multimodal-chat/testing`.
 */
export interface MediaArchive {
  /** @param at When it was attached, in milliseconds since the epoch. */
  keep(conversation: Conversation, media: PreparedMedia, at: number): Promise<void>;
  /** The attachments of a conversation in the order in which they first came. */
  list(conversation: Conversation): Promise<readonly ArchivedMedia[]>;
  /** The bytes of the parts, in order; undefined if it is gone. */
  load(conversation: Conversation, id: string): Promise<readonly Uint8Array[] | undefined>;
  forget(target: ArchiveForgetTarget): Promise<void>;
  stats(): Promise<MediaArchiveStats>;
  close(): Promise<void>;
}
