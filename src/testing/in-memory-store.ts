import { MemoryError } from '../errors.js';
import type { ForgetTarget, MemoryStats, MemoryStore } from '../memory/memory-store.js';
import type { CallOptions, Conversation, RecalledTurn, Turn } from '../types.js';

/**
 * A `MemoryStore` without a disk, for tests: it keeps the contract but for durability, and ranks by the
 * share of the query's words that stand anywhere in a turn.
 */
export class InMemoryStore implements MemoryStore {
  #turns: Turn[] = [];
  #isClosed = false;

  /** Every turn of every conversation, in the order of appending. */
  get turns(): readonly Turn[] {
    return this.#turns;
  }

  async append(turn: Turn, options: CallOptions = {}): Promise<void> {
    this.#check(options);
    if (!this.#turnsOf(turn).some(({ id }) => id === turn.id)) this.#turns.push(structuredClone(turn));
  }

  async recent(
    conversation: Conversation,
    options: CallOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#check(options);
    return options.limit > 0 ? this.#turnsOf(conversation).slice(-options.limit) : [];
  }

  async recall(
    conversation: Conversation,
    query: string,
    options: CallOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    this.#check(options);
    const wanted = query.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
    const scored = this.#turnsOf(conversation).map((turn) => {
      const text = `${turn.prompt}\n${turn.reply}`.toLowerCase();
      return { turn, score: wanted.filter((word) => text.includes(word)).length / wanted.length };
    });
    return scored
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score)
      .slice(0, options.limit);
  }

  async forget(target: ForgetTarget, options: CallOptions = {}): Promise<number> {
    this.#check(options);
    const kept = this.#turns.filter((turn) => !isMeant(turn, target));
    const forgotten = this.#turns.length - kept.length;
    this.#turns = kept;
    return forgotten;
  }

  async stats(): Promise<MemoryStats> {
    this.#check();
    const sessions = new Set(this.#turns.map(({ tenant, sessionId }) => JSON.stringify([tenant, sessionId])));
    return { turns: this.#turns.length, sessions: sessions.size, cacheSize: 0, pending: 0 };
  }

  async flush(): Promise<void> {
    this.#check();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #turnsOf(conversation: Conversation): Turn[] {
    return this.#turns.filter((turn) => isMeant(turn, conversation));
  }

  #check({ signal }: CallOptions = {}): void {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new MemoryError('The memory store is closed; open a new one.');
  }
}

function isMeant(turn: Turn, target: ForgetTarget): boolean {
  if ('before' in target) return turn.createdAt < target.before.getTime();
  return turn.tenant === target.tenant && (!('sessionId' in target) || turn.sessionId === target.sessionId);
}
