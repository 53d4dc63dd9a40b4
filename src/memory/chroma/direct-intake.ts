import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';
import type { Turn } from '../../core/turn.js';
import { AppendQueue } from '../shared/append-queue.js';
import { type SerializedTurn, serializeTurn } from '../shared/turn-body.js';
import type { ChromaTurns } from './chroma-turns.js';
import { conversationKey, recordId, scopeOf } from './scope.js';
import type { TurnIntake } from './turn-intake.js';
import type { TurnRecord } from './turn-record.js';

/** Larger requests only take longer; the server's own limit is far higher. */
const largestBatch = 100;

/** Sends turns straight to the server, in order and in batches. A turn is durable once accepted. */
export class DirectIntake implements TurnIntake {
  readonly #turns: ChromaTurns;
  readonly #clock: Clock;
  readonly #queue = new AppendQueue<SerializedTurn>((batch) => this.#write(batch), { largestBatch });
  /** The highest order of each conversation that was written to lately. */
  readonly #lastOrders = new LRUCache<string, number>({ max: 10_000 });

  constructor(turns: ChromaTurns, clock: Clock) {
    this.#turns = turns;
    this.#clock = clock;
  }

  add(turn: Turn, signal?: AbortSignal): Promise<void> {
    return this.#queue.add(serializeTurn(turn), signal);
  }

  async waiting(): Promise<readonly TurnRecord[]> {
    return [];
  }

  async pending(): Promise<number> {
    return 0;
  }

  async forget(): Promise<readonly string[]> {
    await this.#queue.idle();
    return [];
  }

  drain(): Promise<void> {
    return this.#queue.idle();
  }

  close(): Promise<void> {
    return this.#queue.idle();
  }

  async #write(batch: readonly SerializedTurn[]): Promise<void> {
    const records: TurnRecord[] = [];
    for (const { turn, body } of batch) {
      const scope = scopeOf(turn, await this.#nextOrder(conversationKey(turn)));
      records.push({ id: recordId(turn), scope, body });
    }
    await this.#turns.write(records);
  }

  /** Microseconds since the epoch, but always above the conversation's orders, should the clock go back. */
  async #nextOrder(key: string): Promise<number> {
    const now = this.#clock.now() * 1000;
    const last = this.#lastOrders.get(key) ?? (await this.#turns.highestOrderFrom(key, now));
    const order = Math.max(now, last + 1);
    this.#lastOrders.set(key, order);
    return order;
  }
}
