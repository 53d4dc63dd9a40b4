import type { PreparedMedia } from '../core/media.js';
import type { TurnMedia } from '../core/turn-media.js';

/** What memory keeps of an attachment. */
export function describeTurnMedia(media: PreparedMedia): TurnMedia {
  const frames = media.parts.flatMap((part) => (part.timestampMs === undefined ? [] : [part.timestampMs]));
  return {
    kind: media.kind,
    name: media.name,
    fingerprint: media.fingerprint,
    mimeType: media.source.mimeType,
    durationMs: media.source.durationMs,
    frameTimestampsMs: frames.length > 0 ? frames : undefined,
  };
}
