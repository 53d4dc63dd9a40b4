import type { z } from 'zod';
import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import { ClosedError } from '../../core/errors.js';
import { followersOf, parseForgetTarget } from '../../core/forget-target.js';
import { parseOptions } from '../../core/parse-options.js';
import type { Conversation, RecalledTurn, Turn } from '../../core/turn.js';
import type {
  AppendOptions,
  ConversationSummaries,
  ForgetTarget,
  MemoryStats,
  MemoryStore,
  ReindexOptions,
} from '../memory-store.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import { AppendQueue } from '../shared/append-queue.js';
import { conversationKey } from '../shared/conversation-key.js';
import { serializeTurn, textOfTurn } from '../shared/turn-body.js';
import { Delivery } from './delivery.js';
import { type OutboxOptions, outboxOptionsSchema } from './outbox-options.js';
import { type AcceptedTurn, TurnOutbox } from './turn-outbox.js';

/**
 * Puts a file on the local disk in front of a store, for example one on a server. `append` resolves as soon
 * as the turn is in the file, even while the store fails; turns are delivered in the background, in order,
 * those of a killed process by another process or at the next start. Recall, `recent`, `forget` and `stats`
 * include the turns that still wait. Closing it closes the store.
 *
 * @throws ConfigurationError that names every option that is wrong.
 * @example
 * ```ts
 * const memory = withOutbox(new ChromaMemoryStore(), { path: './data/outbox.sqlite' });
 * ```
 */
export function withOutbox(store: MemoryStore, options: OutboxOptions): MemoryStore & AsyncDisposable {
  return new OutboxStore(store, parseOptions(outboxOptionsSchema, options, 'withOutbox'));
}

/** Waiting turns that are ranked in a recall, the latest ones. */
const rankedTurns = 200;
/** How long `close` waits for a delivery; what is not delivered is safe in the outbox. */
const closingMs = 2_000;

/** What the store found and what waits have scores that do not compare, so their words are ranked together. */
function rankTogether(
  query: string,
  found: readonly RecalledTurn[],
  waiting: readonly Turn[],
): RecalledTurn[] {
  const scores = new Map(found.map(({ score, turn }) => [turn.id, score]));
  const latest = new Map(waiting.map((turn) => [turn.id, turn]));
  const stored = found
    .map(({ turn }) => latest.get(turn.id) ?? turn)
    .sort((a, b) => a.createdAt - b.createdAt);
  const turns = [...stored, ...waiting.filter(({ id }) => !scores.has(id))];
  const index = new ConversationIndex();
  for (const [at, turn] of turns.entries()) index.add(at, textOfTurn(turn));
  const byWords = new Map(index.search(query, turns.length).map(({ score, sequence }) => [sequence, score]));
  return turns
    .map((turn, at) => {
      const words = byWords.get(at) ?? 0;
      return { turn, score: (words + (scores.get(turn.id) ?? words)) / 2 };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score);
}

class OutboxStore implements MemoryStore {
  readonly summaries: ConversationSummaries | undefined;
  readonly reindex?: (options?: ReindexOptions) => Promise<void>;
  readonly sessions?: NonNullable<MemoryStore['sessions']>;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  readonly #outbox: TurnOutbox;
  readonly #delivery: Delivery;
  readonly #queue = new AppendQueue<AcceptedTurn>((batch) => this.#outbox.insert(batch), {
    largestBatch: 500,
  });
  #closing: Promise<void> | undefined;

  constructor(store: MemoryStore, options: z.output<typeof outboxOptionsSchema>) {
    const { clock } = options;
    this.#store = store;
    this.#clock = clock;
    this.#outbox = new TurnOutbox(options);
    this.#delivery = new Delivery(this.#outbox, store, clock);
    const { summaries } = store;
    this.summaries = summaries && this.#summariesAfterDelivery(summaries);
    if (store.sessions)
      this.sessions = async (...given) => {
        this.#assertOpen();
        given[1].signal?.throwIfAborted();
        await this.#deliver();
        return (await store.sessions?.(...given)) ?? [];
      };
    if (!store.reindex) return;
    this.reindex = async (given) => {
      await this.#deliver();
      await store.reindex?.(given);
    };
  }

  /** @throws MemoryError if the turn cannot be written to the disk, or too many turns wait. */
  async append(turn: Turn, { replace = false, signal }: AppendOptions = {}): Promise<void> {
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#queue.add({ ...serializeTurn(turn), replace }, signal);
    this.#delivery.wake();
  }

  async recent(
    conversation: Conversation,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#assertOpen();
    const { limit, signal } = options;
    signal?.throwIfAborted();
    if (limit <= 0) return [];
    // Read before the store is asked: a turn that is delivered meanwhile is seen twice, not missed.
    const waiting = await this.#outbox.ofConversation(conversation, limit);
    const stored = await this.#store.recent(conversation, options);
    const known = new Set(stored.map(({ id }) => id));
    const latest = new Map(waiting.map((turn) => [turn.id, turn]));
    const current = stored.map((turn) => latest.get(turn.id) ?? turn);
    return [...current, ...waiting.filter(({ id }) => !known.has(id))].slice(-limit);
  }

  async recall(
    conversation: Conversation,
    query: string,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    this.#assertOpen();
    const { limit, signal } = options;
    signal?.throwIfAborted();
    const waiting = await this.#outbox.ofConversation(conversation, rankedTurns);
    const found = await this.#store.recall(conversation, query, options);
    if (waiting.length === 0 || limit <= 0) return found;
    return rankTogether(query, found, waiting).slice(0, limit);
  }

  async forget(target: ForgetTarget, options: AbortOptions = {}): Promise<number> {
    this.#assertOpen();
    const { signal } = options;
    signal?.throwIfAborted();
    parseForgetTarget(target);
    await this.#queue.idle();
    return this.#delivery.pausedDuring(async () => {
      const alsoStored = await this.#countStored(target, signal);
      await this.#relinkWaiting(target, signal);
      const dropped = await this.#outbox.forget(target, signal);
      return (await this.#store.forget(target, options)) + dropped - alsoStored;
    }, signal);
  }

  /** `pending` includes the turns that wait. */
  async stats(): Promise<MemoryStats> {
    this.#assertOpen();
    const [stats, waiting] = await Promise.all([this.#store.stats(), this.#outbox.count()]);
    const turns = stats.turns === undefined ? undefined : stats.turns + waiting;
    return { ...stats, turns, pending: stats.pending + waiting };
  }

  /** Resolves when every turn is in the store, and everything derived is written too. */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#deliver();
    await this.#store.flush();
  }

  /** Waits for appends under way. Turns that still wait are delivered at the next start. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#queue.idle();
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = this.#clock.setTimeout(resolve, closingMs);
    });
    await Promise.race([this.#delivery.close(), late]);
    this.#clock.clearTimeout(timer);
    await this.#outbox.close();
    await this.#store.close();
  }

  async #deliver(): Promise<void> {
    await this.#queue.idle();
    await this.#delivery.drain();
  }

  /** The store does the same for the turns that it has. */
  async #relinkWaiting({ sessionId, tenant, turnId: id }: ForgetTarget, signal: AbortSignal | undefined) {
    if (id === undefined) return;
    const limit = Number.MAX_SAFE_INTEGER;
    const waiting = await this.#outbox.ofConversation({ tenant, sessionId }, limit);
    const ids = new Set(waiting.map((turn) => turn.id));
    const all = await this.recent({ tenant, sessionId }, { limit, signal });
    const followers = followersOf(all, id).filter((turn) => ids.has(turn.id));
    await this.#outbox.insert(followers.map((turn) => ({ ...serializeTurn(turn), replace: true })));
  }

  /** Waiting turns that the store has too: a process was killed just after it had delivered them. */
  async #countStored(target: ForgetTarget, signal: AbortSignal | undefined): Promise<number> {
    const waiting = (await this.#outbox.matching(target)).map(({ turn }) => turn);
    const byConversation = new Map(waiting.map((turn) => [conversationKey(turn), turn]));
    let count = 0;
    for (const [key, conversation] of byConversation) {
      const stored = await this.#store.recent(conversation, { limit: Number.MAX_SAFE_INTEGER, signal });
      const known = new Set(stored.map(({ id }) => id));
      count += waiting.filter((turn) => conversationKey(turn) === key && known.has(turn.id)).length;
    }
    return count;
  }

  /** A summary counts turns from the first one on, so the store needs all of them. */
  #summariesAfterDelivery(summaries: ConversationSummaries): ConversationSummaries {
    const delivered = async () => {
      this.#assertOpen();
      await this.#deliver();
      return summaries;
    };
    return {
      read: async (...given) => {
        this.#assertOpen();
        return summaries.read(...given);
      },
      turnsAfterSummary: async (...given) => (await delivered()).turnsAfterSummary(...given),
      keep: async (...given) => (await delivered()).keep(...given),
    };
  }

  #assertOpen(): void {
    if (this.#closing) throw new ClosedError('memory store');
  }
}
