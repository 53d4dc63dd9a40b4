import type { AbortOptions } from '../core/abort.js';
import type { ForgetTarget } from '../core/forget-target.js';
import type { Conversation, RecalledTurn, Turn } from '../core/turn.js';

export type { ForgetTarget };

export interface MemoryStats {
  /** Stored turns, if the store can count them cheaply. */
  readonly turns?: number | undefined;
  readonly sessions?: number | undefined;
  /** Embeddings held in the cache. */
  readonly cacheSize: number;
  /** Turns whose embedding is still to be made or written. */
  readonly pending: number;
  /** Bytes on disk, if the store knows. */
  readonly diskBytes?: number | undefined;
  /** What failed last in the background, and when, in milliseconds since the epoch. No turn is lost by it. */
  readonly lastError?: { readonly message: string; readonly at: number } | null | undefined;
}

/** How far a `reindex` has come. */
export interface ReindexProgress {
  /** Turns with a vector of the current embedder. */
  readonly done: number;
  /** Turns altogether. */
  readonly total: number;
}

export interface ReindexOptions extends AbortOptions {
  /** Called at the start and after every batch. */
  readonly onProgress?: ((progress: ReindexProgress) => void) | undefined;
}

/** What the first turns of a conversation were about. */
export interface ConversationSummary {
  readonly text: string;
  /** How many turns it covers, from the first of the conversation on. */
  readonly turns: number;
  /** The id of the last of them. */
  readonly lastTurn: string;
  /** The time of that turn, in milliseconds since the epoch. */
  readonly until: number;
}

/**
 * Keeps, beside the turns of a conversation, one summary of the first of them. It replaces no turn.
 *
 * An implementer owes:
 * - a summary is durable once `keep` has resolved with `true`.
 * - it goes with any turn that it covers: once `forget` has resolved none of it is left, and a summary
 *   that was still being made is not kept.
 * - nothing is ever read across conversations or tenants. Failures are `MemoryError`.
 */
export interface ConversationSummaries {
  read(conversation: Conversation, options?: AbortOptions): Promise<ConversationSummary | undefined>;
  /** At most `limit` of the turns that the summary does not cover, oldest first. */
  turnsAfterSummary(
    conversation: Conversation,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]>;
  /**
   * Replaces the summary. Resolves with `false`, and keeps nothing, if the first `turns` turns do not end
   * with `lastTurn` because some were forgotten meanwhile, or if the stored summary covers as many turns.
   */
  keep(conversation: Conversation, summary: ConversationSummary, options?: AbortOptions): Promise<boolean>;
}

/** A conversation in a list. */
export interface StoredSession {
  readonly sessionId: string;
  /** The beginning of its first prompt, in one line of at most 120 characters; empty if that was media alone. */
  readonly title: string;
  readonly turns: number;
  /** When its first turn was made, in milliseconds since the epoch. */
  readonly firstAt: number;
  /** When its latest turn was made. */
  readonly lastAt: number;
}

export interface SessionPage extends AbortOptions {
  readonly limit: number;
  /**
   * Only sessions that come after this one in the list, usually the last of the page before; without
   * `sessionId`, those whose latest turn was made before `lastAt`.
   */
  readonly before?: { readonly lastAt: number; readonly sessionId?: string | undefined } | undefined;
}

export interface AppendOptions extends AbortOptions {
  /**
   * When the turn was accepted, in microseconds since the epoch, if it waited in an outbox. A store that
   * orders turns by time puts it in its place; others take turns as they come.
   */
  readonly acceptedAt?: number | undefined;
  /**
   * The turn replaces a stored one with its id, in its place in the conversation, together with everything
   * derived from it. Default `false`: a known id changes nothing.
   */
  readonly replace?: boolean | undefined;
}

/**
 * Keeps every turn of a conversation and finds the ones that matter now.
 *
 * An implementer owes:
 * - `append` resolves when the turn is durable: it survives a killed process. Turns of one
 *   conversation keep the order in which they were appended. A known id changes nothing, unless it is to be
 *   replaced.
 * - a turn is found by `recent` as soon as `append` has resolved, and by the words of its text in
 *   `recall`; what is derived (an embedding) may lag or fail without losing anything.
 * - nothing is ever read across conversations or tenants, whatever the names contain.
 * - `forget` removes the turns that its target names and everything derived from them, nothing else, and
 *   resolves with their number. A turn whose parent is removed by its id follows the parent of the removed
 *   one. A date removes the ancestors too, so turns after it keep their `parentId`.
 * - a turn comes back as it was appended, message parts of unknown types included: it is JSON to a store.
 * - `sessions` lists each conversation of one tenant once over all pages, those with the latest turn first. One
 *   that gets a turn meanwhile moves to the top.
 * - any number of concurrent calls. Failures are `MemoryError`, calls after `close` a `ClosedError`.
 *
 * Shipped: {@link EmbeddedMemoryStore}, and `ChromaMemoryStore` from `multimodal-chat/chroma`. Both
 * pass `memoryStoreContract` from `multimodal-chat/testing`.
 */
export interface MemoryStore {
  append(turn: Turn, options?: AppendOptions): Promise<void>;
  /** The last `limit` turns, oldest first. */
  recent(
    conversation: Conversation,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]>;
  /** At most `limit` turns that bear on the query, best first. */
  recall(
    conversation: Conversation,
    query: string,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]>;
  /** The conversations of a tenant that come after `before`, at most `limit`. Without it they cannot be listed. */
  sessions?(tenant: string, page: SessionPage): Promise<readonly StoredSession[]>;
  forget(target: ForgetTarget, options?: AbortOptions): Promise<number>;
  stats(): Promise<MemoryStats>;
  /**
   * Embeds every turn that has no vector of the current embedder, as after a change of the embedder or
   * refused texts; then drops the vectors of others. Recall works meanwhile, by words if a vector is
   * missing. If it is stopped by its signal or the end of the process, the next run goes on from there.
   *
   * @throws MemoryError if the embedder fails or the store has none.
   */
  reindex?(options?: ReindexOptions): Promise<void>;
  /** Where summaries are kept. Without it conversations are not summarized. */
  readonly summaries?: ConversationSummaries | undefined;
  /** Resolves when everything derived is written too. */
  flush(): Promise<void>;
  close(): Promise<void>;
}
