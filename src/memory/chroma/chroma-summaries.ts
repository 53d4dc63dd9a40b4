import type { Collection } from 'chromadb';
import type { AbortOptions } from '../../core/abort.js';
import type { Conversation, Turn } from '../../core/turn.js';
import type { ConversationSummaries, ConversationSummary, ForgetTarget } from '../memory-store.js';
import { conversationKey, turnId } from '../shared/conversation-key.js';
import type { RankedSessions } from '../shared/ranked-sessions.js';
import type { ChromaConnection } from './chroma-connection.js';
import { placeholderVector } from './chroma-turns.js';
import { type RecordScope, scopeOf, toForget } from './scope.js';
import type { ChromaSession } from './session-reader.js';

interface KeptSummary {
  readonly summary: ConversationSummary;
  readonly scope: RecordScope;
}

/** The summaries, in a separate collection, one record per conversation. */
export class ChromaSummaries implements ConversationSummaries {
  readonly #connection: ChromaConnection;
  readonly #collection: string;
  readonly #sessions: RankedSessions<ChromaSession>;
  readonly #assertOpen: () => void;

  constructor(options: {
    readonly connection: ChromaConnection;
    readonly collection: string;
    readonly sessions: RankedSessions<ChromaSession>;
    /** Throws once the store is closed. */
    readonly assertOpen: () => void;
  }) {
    this.#connection = options.connection;
    this.#collection = options.collection;
    this.#sessions = options.sessions;
    this.#assertOpen = options.assertOpen;
  }

  async read(
    conversation: Conversation,
    { signal }: AbortOptions = {},
  ): Promise<ConversationSummary | undefined> {
    return (await this.#find(conversation, signal))?.summary;
  }

  async turnsAfterSummary(
    conversation: Conversation,
    { limit, signal }: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    const [known, session] = await Promise.all([
      this.#find(conversation, signal),
      this.#sessions.load(conversation, signal),
    ]);
    const first = known?.summary.turns ?? 0;
    return session?.turns(first, first + Math.max(0, limit)) ?? [];
  }

  async keep(
    conversation: Conversation,
    summary: ConversationSummary,
    { signal }: AbortOptions = {},
  ): Promise<boolean> {
    const key = conversationKey(conversation);
    const lastId = turnId({ ...conversation, id: summary.lastTurn });
    const load = () => this.#sessions.load(conversation, signal);
    const covers = (session: ChromaSession | undefined): session is ChromaSession =>
      session?.positions.get(lastId) === summary.turns - 1;

    const known = await this.#find(conversation, signal);
    const session = await load();
    const knownTurns = known?.summary.turns ?? 0;
    if (summary.turns <= knownTurns || !covers(session)) return false;
    const added = session.turns(knownTurns, summary.turns).map(({ createdAt }) => createdAt);
    // `forget` with a date finds the summary by the oldest turn that it covers.
    const createdAt = added.reduce(
      (a, b) => Math.min(a, b),
      known?.scope.created_at ?? Number.POSITIVE_INFINITY,
    );
    const scope = scopeOf({ ...conversation, createdAt }, summary.turns);
    await this.#connection.call(
      this.#collection,
      (collection) =>
        collection.upsert({
          ids: [key],
          embeddings: [placeholderVector(key)],
          documents: [JSON.stringify(summary)],
          metadatas: [{ ...scope }],
        }),
      signal,
    );
    // A turn may have been forgotten, here or by another process, just before the summary was written.
    if (covers(await load())) return true;
    await this.#connection.call(this.#collection, (collection) => collection.delete({ ids: [key] }));
    return false;
  }

  async forget(target: ForgetTarget, signal?: AbortSignal): Promise<void> {
    const { sessionId, tenant, turnId: id } = target;
    const meant = id === undefined ? toForget(target) : { ids: [conversationKey({ tenant, sessionId })] };
    const deletion = (collection: Collection) => collection.delete(meant);
    await this.#connection.callExisting(this.#collection, deletion, signal);
  }

  async #find(conversation: Conversation, signal: AbortSignal | undefined): Promise<KeptSummary | undefined> {
    this.#assertOpen();
    const { documents, metadatas } = await this.#connection.call(
      this.#collection,
      (collection) =>
        collection.get({ ids: [conversationKey(conversation)], include: ['documents', 'metadatas'] }),
      signal,
    );
    const [body] = documents;
    if (typeof body !== 'string') return undefined;
    return {
      summary: JSON.parse(body) as ConversationSummary,
      scope: metadatas[0] as object as RecordScope,
    };
  }
}
