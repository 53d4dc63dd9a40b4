import { LRUCache } from 'lru-cache';
import { type AbortOptions, raceAbort } from '../../core/abort.js';
import type { Conversation, RecalledTurn, Turn } from '../../core/turn.js';
import type { ConversationIndex } from '../rank/conversation-index.js';
import { conversationKey } from './conversation-key.js';
import { embedQuery, type QueryEmbedding } from './query-vector.js';

/** A conversation as a store caches it. */
export interface RankedSession {
  readonly index: ConversationIndex;
  /** Estimated memory of all of it. */
  readonly bytes: number;
}

/** Where sessions are read from. */
export interface SessionSource<Session extends RankedSession> {
  /**
   * Brings a session up to date with what is stored, or reads it anew; undefined if nothing is stored of the
   * conversation. Never runs twice at a time for one conversation.
   */
  read(
    conversation: Conversation,
    cached: Session | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Session | undefined>;
  /** Awaited before a session is searched by meaning. */
  ready?(session: Session, signal: AbortSignal | undefined): Promise<void>;
  /** The turns that still exist, by sequence. */
  turnsAt(session: Session, sequences: readonly number[]): ReadonlyMap<number, Turn>;
}

/** The conversations used last, within a number of bytes, and the recall of their turns. */
export class RankedSessions<Session extends RankedSession> {
  readonly #source: SessionSource<Session>;
  readonly #queryEmbedding: QueryEmbedding;
  readonly #cache: LRUCache<string, Session>;
  readonly #reading = new Map<string, Promise<unknown>>();

  constructor(
    source: SessionSource<Session>,
    options: { readonly maxBytes: number; readonly queryEmbedding: QueryEmbedding },
  ) {
    this.#source = source;
    this.#queryEmbedding = options.queryEmbedding;
    this.#cache = new LRUCache({ maxSize: options.maxBytes, sizeCalculation: ({ bytes }) => bytes });
  }

  /** Vectors in the cache. */
  get vectors(): number {
    let count = 0;
    for (const { index } of this.#cache.values()) count += index.vectors;
    return count;
  }

  /** The conversation with everything that was appended before the call. */
  load(conversation: Conversation, signal?: AbortSignal): Promise<Session | undefined> {
    const key = conversationKey(conversation);
    // The caller of the earlier load gets its failure; this load tries again.
    const earlier = this.#reading.get(key)?.catch(() => undefined);
    const read = async () => {
      await earlier;
      signal?.throwIfAborted();
      const session = await this.#source.read(conversation, this.#cache.get(key), signal);
      if (session) this.#cache.set(key, session);
      else this.#cache.delete(key);
      return session;
    };
    const reading = read().finally(() => {
      if (this.#reading.get(key) === reading) this.#reading.delete(key);
    });
    this.#reading.set(key, reading);
    return raceAbort(reading, signal);
  }

  /** At most `limit` turns that bear on the query, best first. */
  async recall(
    conversation: Conversation,
    query: string,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    const [session, vector] = await Promise.all([
      this.load(conversation, signal),
      embedQuery(query, this.#queryEmbedding, { signal }),
    ]);
    if (!session) return [];
    if (vector) await this.#source.ready?.(session, signal);
    const ranked = session.index.search(query, Math.max(0, limit), { vector });
    const sequences = ranked.map(({ sequence }) => sequence);
    const turns = this.#source.turnsAt(session, sequences);
    return ranked.flatMap(({ sequence, score }) => {
      const turn = turns.get(sequence);
      return turn ? [{ turn, score }] : [];
    });
  }

  clear(): void {
    this.#cache.clear();
  }
}
