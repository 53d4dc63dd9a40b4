import type { Clock } from '../core/clock.js';
import type { Emitter } from '../core/emitter.js';
import { MemoryError } from '../core/errors.js';
import type { PreparedMedia } from '../core/media.js';
import type { Turn, TurnMedia } from '../core/turn.js';
import type { MemoryStore } from '../memory/memory-store.js';
import type { Call } from './call-scope.js';
import type { ChatEvents } from './chat-events.js';

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

/**
 * Stores the turn and says whether it is durable. A failure is reported as an event beside the
 * answer, which the user has already seen.
 */
export async function storeTurn(
  parts: {
    readonly memory: MemoryStore | undefined;
    readonly clock: Clock;
    readonly events: Emitter<ChatEvents>;
  },
  call: Call,
  turn: Turn,
): Promise<boolean> {
  const { clock, events, memory } = parts;
  if (memory === undefined) return false;
  const { sessionId } = call.conversation;
  const { turnId } = call;
  const startedAt = clock.now();
  try {
    await memory.append(turn);
  } catch (error) {
    const failure = MemoryError.isInstance(error)
      ? error
      : new MemoryError(`The turn could not be stored: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
    events.emit('failure', { sessionId, turnId, error: failure });
    return false;
  }
  events.emit('memory', {
    sessionId,
    turnId,
    action: 'append',
    turns: 1,
    durationMs: clock.now() - startedAt,
  });
  return true;
}
