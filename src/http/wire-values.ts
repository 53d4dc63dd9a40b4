import type { TurnMedia, Usage } from '../index.js';

/** Points in time go out in seconds since the epoch, as `last_error` always did. */
export const seconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;

export const wireUsage = (usage: Usage): object => ({
  input_tokens: usage.inputTokens,
  output_tokens: usage.outputTokens,
  thought_tokens: usage.thoughtTokens,
  total_tokens: usage.totalTokens,
  cached_input_tokens: usage.cachedInputTokens,
  tool_tokens: usage.toolTokens,
});

export const wireTurnMedia = (media: TurnMedia): object => ({
  kind: media.kind,
  name: media.name,
  mime_type: media.mimeType,
  fingerprint: media.fingerprint,
  duration_ms: media.durationMs,
  frame_timestamps_ms: media.frameTimestampsMs,
});
