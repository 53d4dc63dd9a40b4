import type { Turn } from '../../core/turn.js';
import type { ForgetTarget } from '../memory-store.js';
import type { TurnRecord } from './turn-record.js';

/**
 * Brings turns from `append` to the server.
 *
 * An implementer owes: `add` resolves when the turn is durable, here or there; turns of one conversation
 * get rising orders; an acknowledged turn is on the server or in `waiting`.
 *
 * Shipped: {@link DirectIntake}, which acknowledges what the server has accepted, and {@link WriteBehind},
 * which acknowledges what is on the local disk.
 */
export interface TurnIntake {
  add(turn: Turn, signal?: AbortSignal): Promise<void>;
  /** The acknowledged turns of a conversation that may not be on the server yet, in order. */
  waiting(conversation: string): Promise<readonly TurnRecord[]>;
  /** How many acknowledged turns may not be on the server yet. */
  pending(): Promise<number>;
  /** Drops what waits, and resolves with the ids once none of it can reach the server any more. */
  forget(target: ForgetTarget, signal?: AbortSignal): Promise<readonly string[]>;
  /** Resolves when every turn added so far is on the server. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
