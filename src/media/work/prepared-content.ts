import type { MediaSourceInfo, PreparedPart } from '../../core/media.js';

/** What any kind of attachment becomes; the caller adds its name and fingerprint. */
export interface PreparedContent {
  readonly parts: readonly PreparedPart[];
  readonly estimatedTokens: number;
  readonly source: MediaSourceInfo;
  readonly note?: string | undefined;
}
