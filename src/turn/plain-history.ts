import { LRUCache } from 'lru-cache';
import type { Conversation, Turn } from '../core/turn.js';

const conversationsKept = 10_000;

/**
 * Conversations whose model refused what it had said earlier, such as a thought signature, and answered
 * once it got plain text. Saves the refusal the next time; forgotten with the process.
 */
export class PlainHistory {
  /** Up to when turns are sent as plain text, in milliseconds since the epoch. */
  readonly #until = new LRUCache<string, number>({ max: conversationsKept });

  /** Whether a turn is to be sent as plain text. */
  has(turn: Turn): boolean {
    return turn.createdAt < (this.#until.get(keyOf(turn)) ?? Number.NEGATIVE_INFINITY);
  }

  /**
   * The turns of a conversation before `askedAt` were refused. If turns after an earlier refusal are
   * refused as well, for example since every answer comes from another project, so will be all to come.
   */
  add(conversation: Conversation, askedAt: number): void {
    const key = keyOf(conversation);
    this.#until.set(key, this.#until.has(key) ? Number.POSITIVE_INFINITY : askedAt);
  }
}

const keyOf = ({ sessionId, tenant }: Conversation) => JSON.stringify([tenant, sessionId]);
