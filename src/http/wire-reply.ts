import type {
  Attempt,
  ChatStreamEvent,
  PreparedMedia,
  RecalledTurn,
  Reply,
  Turn,
  TurnMedia,
  Usage,
} from '../index.js';

/** Points in time go out in seconds since the epoch, as `last_error` always did. */
export const seconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;

export interface WireOptions {
  /** Whether the frames' bytes go along, as `data:` URLs. */
  readonly frameData: boolean;
}

/** The JSON form of an answer. */
export function wireReply(reply: Reply, options: WireOptions): object {
  return {
    response: reply.text,
    session_id: reply.sessionId,
    turn_id: reply.turnId,
    processing_time: seconds(reply.timings.totalMs),
    model: reply.model,
    finish_reason: reply.finishReason,
    thoughts: reply.thoughts === '' ? undefined : reply.thoughts,
    usage: reply.usage === undefined ? null : wireUsage(reply.usage),
    media: reply.media.map((media) => wireMedia(media, options)),
    shown_again: reply.reattachedMedia.map(({ name, kind }) => ({ name, kind })),
    recalled: reply.recalled.map(wireRecalled),
    recent_turns: reply.recentTurns,
    summarised_turns: reply.summarizedTurns,
    attempts: reply.attempts.map(wireAttempt),
    timings: {
      total_ms: reply.timings.totalMs,
      media_ms: reply.timings.mediaMs,
      memory_ms: reply.timings.memoryMs,
      queue_ms: reply.timings.queueMs,
      first_token_ms: reply.timings.firstTokenMs,
    },
    remembered: reply.stored,
  };
}

/** The JSON form of a stored turn. */
export function wireTurn(turn: Turn): object {
  return {
    turn_id: turn.id,
    created_at: seconds(turn.createdAt),
    prompt: turn.prompt,
    response: turn.reply,
    model: turn.model,
    usage: turn.usage === undefined ? undefined : wireUsage(turn.usage),
    media: (turn.media ?? []).map(wireTurnMedia),
  };
}

const wireRecalled = ({ turn, score }: RecalledTurn): object => ({ ...wireTurn(turn), score });

/** The name and the data of the server-sent event that tells of one part of an answer. */
export function wireEvent(part: ChatStreamEvent): { readonly event: string; readonly data: object } {
  switch (part.type) {
    case 'media':
      return {
        event: 'media',
        data: {
          index: part.index,
          ...part.progress,
          media: part.media === undefined ? undefined : wireMedia(part.media, { frameData: true }),
        },
      };
    case 'recall':
      return {
        event: 'recall',
        data: { recent_turns: part.recentTurns, turns: part.turns.map(wireRecalled) },
      };
    case 'attempt':
      return { event: 'attempt', data: { attempt: part.attempt, model: part.model, key: part.keyId } };
    case 'thought':
    case 'text':
      return { event: part.type, data: { text: part.text } };
    case 'restart':
      return { event: 'restart', data: { kind: part.failure.kind, message: part.failure.message } };
    case 'done':
      // The reader has had the frames already, in the `media` events.
      return { event: 'done', data: wireReply(part.reply, { frameData: false }) };
  }
}

function wireMedia(media: PreparedMedia, { frameData }: WireOptions): object {
  const frames = media.parts.filter(({ mimeType }) => mimeType.startsWith('image/'));
  return {
    kind: media.kind,
    name: media.name,
    mime_type: media.source.mimeType,
    bytes: media.source.bytes,
    width: media.source.width,
    height: media.source.height,
    duration_ms: media.source.durationMs,
    codec: media.source.codec,
    fingerprint: media.fingerprint,
    estimated_tokens: media.estimatedTokens,
    has_audio: media.parts.some(({ mimeType }) => mimeType.startsWith('audio/')),
    note: media.note,
    frames: frames.map(({ mimeType, data, timestampMs }) => ({
      timestamp_ms: timestampMs ?? null,
      mime_type: mimeType,
      data: frameData ? dataUrl(mimeType, data) : undefined,
    })),
  };
}

function dataUrl(mimeType: string, data: Uint8Array): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return `data:${mimeType};base64,${bytes.toString('base64')}`;
}

const wireTurnMedia = (media: TurnMedia): object => ({
  kind: media.kind,
  name: media.name,
  mime_type: media.mimeType,
  fingerprint: media.fingerprint,
  duration_ms: media.durationMs,
  frame_timestamps_ms: media.frameTimestampsMs,
});

const wireUsage = (usage: Usage): object => ({
  input_tokens: usage.inputTokens,
  output_tokens: usage.outputTokens,
  thought_tokens: usage.thoughtTokens,
  total_tokens: usage.totalTokens,
  cached_input_tokens: usage.cachedInputTokens,
});

const wireAttempt = (attempt: Attempt): object => ({
  model: attempt.model,
  key: attempt.keyId,
  started_at: seconds(attempt.startedAt),
  duration_ms: attempt.durationMs,
  failure:
    attempt.failure === undefined
      ? undefined
      : { kind: attempt.failure.kind, status: attempt.failure.status, message: attempt.failure.message },
});
