import type { AbortOptions } from '../../core/abort.js';
import type { Conversation, Turn } from '../../core/turn.js';
import type { ConversationSummaries, ConversationSummary } from '../memory-store.js';
import type { MemoryDatabase } from './memory-database.js';
import { keepSummary, readSummary, turnsAfterSummary } from './summary-records.js';

/** The summaries beside the turns, in the same file and the same transactions. */
export class EmbeddedSummaries implements ConversationSummaries {
  readonly #existing: (signal?: AbortSignal) => Promise<MemoryDatabase | undefined>;

  /** @param existing Resolves with the database; undefined if no turn was ever written. */
  constructor(existing: (signal?: AbortSignal) => Promise<MemoryDatabase | undefined>) {
    this.#existing = existing;
  }

  async read(
    conversation: Conversation,
    { signal }: AbortOptions = {},
  ): Promise<ConversationSummary | undefined> {
    const database = await this.#existing(signal);
    return database?.read(() => readSummary(database, conversation));
  }

  async turnsAfterSummary(
    conversation: Conversation,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    const database = await this.#existing(signal);
    return database?.read(() => turnsAfterSummary(database, conversation, limit)) ?? [];
  }

  async keep(
    conversation: Conversation,
    summary: ConversationSummary,
    { signal }: AbortOptions = {},
  ): Promise<boolean> {
    const database = await this.#existing(signal);
    return (await database?.write(() => keepSummary(database, conversation, summary), signal)) ?? false;
  }
}
