import type { MediaKind } from './media.js';

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
