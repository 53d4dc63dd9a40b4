import { LRUCache } from 'lru-cache';
import type { Clock } from '../../clock.js';
import type { Turn } from '../../types.js';
import { AppendQueue } from '../append-queue.js';
import { serialiseTurn, turnText } from '../turn-text.js';
import type { ChromaConnection } from './chroma-connection.js';
import type { WaitingTurn } from './chroma-vectors.js';
import { conversationKey, inConversationFrom, type RecordScope, recordId, scopeOf } from './scope.js';

interface NewRecord {
  readonly id: string;
  readonly turn: Turn;
  readonly body: string;
}

/** Requests above a few hundred records only take longer; the server's own limit is far higher. */
const largestBatch = 100;

/** Brings turns to the server, in order and in batches. */
export class ChromaAppends {
  readonly #connection: ChromaConnection;
  readonly #collection: string;
  readonly #clock: Clock;
  readonly #onAppended: (waiting: WaitingTurn) => void;
  readonly #queue = new AppendQueue<NewRecord>((batch) => this.#write(batch), { largestBatch });
  /** The highest order given in each conversation that was written to lately. */
  readonly #lastOrders = new LRUCache<string, number>({ max: 10_000 });

  constructor(options: {
    readonly connection: ChromaConnection;
    readonly collection: string;
    readonly clock: Clock;
    readonly onAppended: (waiting: WaitingTurn) => void;
  }) {
    this.#connection = options.connection;
    this.#collection = options.collection;
    this.#clock = options.clock;
    this.#onAppended = options.onAppended;
  }

  /** Resolves when the server has accepted the turn. */
  add(turn: Turn, signal?: AbortSignal): Promise<void> {
    return this.#queue.add({ id: recordId(turn), turn, body: serialiseTurn(turn) }, signal);
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** `add`, not `upsert`: Chroma leaves a known id as it is, which is just what an append owes. */
  async #write(batch: readonly NewRecord[]): Promise<void> {
    // Chroma refuses a batch that names an id twice; the first one counts.
    const records = [
      ...new Map([...batch].reverse().map((record) => [record.id, record])).values(),
    ].reverse();
    const scopes: RecordScope[] = [];
    for (const { turn } of records) scopes.push(scopeOf(turn, await this.#nextOrder(conversationKey(turn))));
    await this.#connection.call(this.#collection, (collection) =>
      collection.add({
        ids: records.map(({ id }) => id),
        embeddings: records.map(({ id }) => placeholderVector(id)),
        documents: records.map(({ body }) => body),
        metadatas: scopes.map((scope) => ({ ...scope })),
      }),
    );
    for (const [at, { id, turn }] of records.entries()) {
      this.#onAppended({ id, scope: scopes[at] as RecordScope, text: turnText(turn) });
    }
  }

  /** Microseconds since the epoch, but always above what the conversation has, should the clock go back. */
  async #nextOrder(key: string): Promise<number> {
    const now = this.#clock.now() * 1000;
    const last = this.#lastOrders.get(key) ?? (await this.#highestOrderFrom(key, now));
    const order = Math.max(now, last + 1);
    this.#lastOrders.set(key, order);
    return order;
  }

  async #highestOrderFrom(key: string, from: number): Promise<number> {
    const { metadatas } = await this.#connection.call(this.#collection, (collection) =>
      collection.get({ where: inConversationFrom(key, from), include: ['metadatas'] }),
    );
    return metadatas.reduce((highest, scope) => Math.max(highest, Number(scope?.order ?? 0)), 0);
  }
}

/** Spread out by id: an index of equal points would degenerate. */
function placeholderVector(id: string): number[] {
  const angle = (Number.parseInt(id.slice(0, 12), 16) / 2 ** 48) * 2 * Math.PI;
  return [Math.cos(angle), Math.sin(angle)];
}
