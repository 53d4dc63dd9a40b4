import type { Attempt, ChatStreamEvent, GeneratedFile, PendingCall, PreparedMedia, Reply } from '../index.js';
import type { FileUrls } from './file-urls.js';
import { withFormerNames } from './wire-aliases.js';
import {
  wireAnswerInfo,
  wireCode,
  wireCodeResult,
  wireRecalledTurn,
  wireSource,
  wireToolCall,
  wireToolResult,
} from './wire-turn.js';
import { seconds, wireUsage } from './wire-values.js';

/** A generated file that can be fetched is included only up to this size. */
const maxIncludedBytes = 4 * 1024 * 1024;

export interface WireOptions {
  /** Whether to include the bytes of frames, as `data:` URLs. */
  readonly frameData: boolean;
  /** Generated files that can be fetched. */
  readonly urls: FileUrls;
  /** Whether the client has the generated files already. */
  readonly hasFiles: boolean;
}

/**
 * The JSON form of an answer. A generated file has `url` if it can be fetched, and `data` unless it is large
 * and has `url`.
 */
export function wireReply(reply: Reply, options: WireOptions): object {
  return withFormerNames({
    response: reply.text,
    session_id: reply.sessionId,
    turn_id: reply.turnId,
    processing_time: seconds(reply.timings.totalMs),
    model: reply.model,
    finish_reason: reply.finishReason,
    thoughts: reply.thoughts === '' ? undefined : reply.thoughts,
    files: reply.files.map((file) => wireFile(file, options)),
    sources: reply.sources.map(wireSource),
    code: reply.code.map((each) => ({
      ...wireCode(each),
      result: each.result && wireCodeResult(each.result),
    })),
    tool_calls: reply.toolCalls.map(wireToolCall),
    tool_results: reply.toolResults.map(wireToolResult),
    pending: reply.pending.map(wirePending),
    object: reply.pending.length > 0 ? undefined : reply.object,
    ...wireAnswerInfo(reply),
    usage: reply.usage === undefined ? null : wireUsage(reply.usage),
    media: reply.media.map((media) => wireMedia(media, options.frameData)),
    reattached_media: reply.reattachedMedia.map(({ name, kind }) => ({ name, kind })),
    recalled: reply.recalled.map(wireRecalledTurn),
    recent_turns: reply.recentTurns,
    summarized_turns: reply.summarizedTurns,
    attempts: reply.attempts.map(wireAttempt),
    timings: {
      total_ms: reply.timings.totalMs,
      media_ms: reply.timings.mediaMs,
      memory_ms: reply.timings.memoryMs,
      queue_ms: reply.timings.queueMs,
      first_token_ms: reply.timings.firstTokenMs,
    },
    stored: reply.stored,
  });
}

/**
 * One event of an answer as a server-sent event: its name and its data. `media` and `recall` come first, then
 * `attempt`, `thought`, `text`, `file`, `code`, `code-result`, `tool-call`, `source` and `object` as they arrive;
 * `restart` takes back all of these, and `done` holds the whole answer.
 */
export function wireEvent(
  event: ChatStreamEvent,
  urls: FileUrls,
): { readonly event: string; readonly data: object } {
  switch (event.type) {
    case 'media':
      return {
        event: 'media',
        data: {
          index: event.index,
          ...event.progress,
          media: event.media === undefined ? undefined : wireMedia(event.media, true),
        },
      };
    case 'recall':
      return {
        event: 'recall',
        data: { recent_turns: event.recentTurns, turns: event.turns.map(wireRecalledTurn) },
      };
    case 'attempt':
      return { event: 'attempt', data: { attempt: event.attempt, model: event.model } };
    case 'thought':
    case 'text':
      return { event: event.type, data: { text: event.text } };
    case 'file':
      return { event: 'file', data: wireFile(event.file, { urls, hasFiles: false }) };
    case 'code':
      return { event: 'code', data: wireCode(event.code) };
    case 'code-result':
      return { event: 'code-result', data: wireCodeResult(event.result) };
    case 'tool-call':
      return { event: 'tool-call', data: wireToolCall(event.call) };
    case 'tool-result':
      return {
        event: 'tool-result',
        data: { ...wireToolResult(event.result), shown: event.media.map((media) => wireMedia(media, true)) },
      };
    case 'source':
      return { event: 'source', data: wireSource(event.source) };
    case 'object':
      return { event: 'object', data: { object: event.object } };
    case 'restart':
      return { event: 'restart', data: { kind: event.failure.kind, message: event.failure.message } };
    case 'done':
      // The client already has the frames and files, from the `media` and `file` events.
      return { event: 'done', data: wireReply(event.reply, { frameData: false, hasFiles: true, urls }) };
  }
}

const wirePending = ({ callId, input, name, needs }: PendingCall): object => ({
  ...{ call_id: callId, name, input, needs },
});

function wireMedia(media: PreparedMedia, frameData: boolean): object {
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

function wireFile(
  { data, fingerprint, mimeType, name }: GeneratedFile,
  { hasFiles, urls }: Pick<WireOptions, 'hasFiles' | 'urls'>,
): object {
  const url = urls.get(fingerprint);
  const isIncluded = !hasFiles && (url === undefined || data.byteLength <= maxIncludedBytes);
  return {
    name,
    mime_type: mimeType,
    bytes: data.byteLength,
    fingerprint,
    url,
    data: isIncluded ? dataUrl(mimeType, data) : undefined,
  };
}

function dataUrl(mimeType: string, data: Uint8Array): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return `data:${mimeType};base64,${bytes.toString('base64')}`;
}

/** Without the key: its id ends in the key's last characters, which are not for clients. */
const wireAttempt = (attempt: Attempt): object => ({
  model: attempt.model,
  started_at: seconds(attempt.startedAt),
  duration_ms: attempt.durationMs,
  failure:
    attempt.failure === undefined
      ? undefined
      : { kind: attempt.failure.kind, status: attempt.failure.status, message: attempt.failure.message },
});
