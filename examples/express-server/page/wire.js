// The server's JSON -> what the page shows.

import { readPieces, readStoredPieces } from './pieces.js';

export function readMediaEvent({ index, name, stage, fraction, media }) {
  return { index, progress: { name, stage, fraction }, media: media && readMedia(media) };
}

function readMedia(media) {
  return {
    kind: media.kind,
    name: media.name,
    bytes: media.bytes,
    width: media.width,
    height: media.height,
    durationMs: media.duration_ms,
    hasSound: media.has_audio,
    note: media.note,
    frames: media.frames.map((frame) => ({ timestampMs: frame.timestamp_ms ?? undefined, url: frame.data })),
  };
}

export const readRecalled = ({ turns }) => turns.map(readTurn);

export function readTurn(turn) {
  const createdAt = turn.created_at * 1000;
  // Recalled turns come without messages.
  const messages = turn.messages ?? [];
  return {
    prompt: turn.prompt,
    reply: readReply(messages) || turn.response,
    createdAt,
    pieces: readStoredPieces(messages),
    turnId: turn.turn_id,
    // Tools ran, but the answer that follows their results never came.
    isBrokenOff: messages.at(-1)?.role === 'tool',
    media: turn.media.map(({ kind, name, frame_timestamps_ms: frameTimestampsMs }) => ({
      kind,
      name,
      frameTimestampsMs,
    })),
    facts: { model: turn.model, usage: readUsage(turn.usage), createdAt },
  };
}

/** The texts of all assistant messages, a paragraph each. */
const readReply = (messages) =>
  messages
    .filter(({ role }) => role === 'assistant')
    .map(({ parts }) => parts.map((part) => (part.type === 'text' ? part.text : '')).join(''))
    .filter((text) => text.trim() !== '')
    .join('\n\n');

export function readDone(reply) {
  return {
    text: reply.response,
    pieces: readPieces(reply),
    turnId: reply.turn_id,
    pending: (reply.pending ?? []).map(readPending),
    facts: {
      model: reply.model,
      totalMs: reply.timings.total_ms,
      usage: readUsage(reply.usage),
      attempts: reply.attempts.length,
      isForgotten: !reply.stored,
    },
  };
}

const readUsage = (usage) => usage && { input: usage.input_tokens, output: usage.output_tokens };

const readPending = ({ call_id: id, name, input, needs }) => ({ id, name, input, needs });

/** Calls of a stored turn that were not decided. */
export const openCalls = ({ tools }) =>
  tools
    .filter(({ result }) => !result)
    .map(({ id, name, input }) => ({ id, name, input, needs: 'approval' }));
