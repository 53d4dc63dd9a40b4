import type { Emitter } from '../core/emitter.js';
import { MemoryError } from '../core/errors.js';
import type { Call } from './call-scope.js';
import type { ChatEvents } from './chat-events.js';

/** Does what improves an answer without being needed for one; a failure of memory is emitted as `failure`. */
export async function bestEffort<T>(
  { events }: { readonly events: Emitter<ChatEvents> },
  { conversation, turnId }: Call,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!MemoryError.isInstance(error)) throw error;
    events.emit('failure', { sessionId: conversation.sessionId, turnId, error });
    return undefined;
  }
}
