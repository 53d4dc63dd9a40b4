import type { Emitter } from '../core/emitter.js';
import { ClosedError, MemoryError } from '../core/errors.js';
import type { Call } from './call-scope.js';
import type { ChatEvents } from './chat-events.js';

/** Runs an optional step: a memory failure is emitted as `failure`, not thrown. */
export async function bestEffort<T>(
  { events }: { readonly events: Emitter<ChatEvents> },
  { conversation, turnId }: Call,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!MemoryError.isInstance(error) && !ClosedError.isInstance(error)) throw error;
    events.emit('failure', { ...conversation, turnId, error });
    return undefined;
  }
}
