import type { AbortOptions } from '../core/abort.js';
import { ClosedError } from '../core/errors.js';
import { followersOf, isForgotten, parseForgetTarget } from '../core/forget-target.js';
import { titleOf } from '../core/session-title.js';
import type { Conversation, RecalledTurn, Turn } from '../core/turn.js';
import type {
  AppendOptions,
  ConversationSummaries,
  ConversationSummary,
  ForgetTarget,
  MemoryStats,
  MemoryStore,
  SessionPage,
  StoredSession,
} from '../memory/memory-store.js';

/**
 * A `MemoryStore` without a disk, for tests: it keeps the contract except for durability, and ranks by the
 * share of the query's words that occur in a turn.
 */
export class InMemoryStore implements MemoryStore {
  #turns: Turn[] = [];
  #summaries: { readonly of: Conversation; readonly summary: ConversationSummary }[] = [];
  #isClosed = false;

  readonly summaries: ConversationSummaries = {
    read: async (of, options) => {
      this.#check(options);
      return this.#summaryOf(of);
    },
    turnsAfterSummary: async (of, options) => {
      this.#check(options);
      const covered = this.#summaryOf(of)?.turns ?? 0;
      return this.#turnsOf(of).slice(covered, covered + options.limit);
    },
    keep: async (of, summary, options) => {
      this.#check(options);
      const isWhole = this.#turnsOf(of)[summary.turns - 1]?.id === summary.lastTurn;
      if (!isWhole || summary.turns <= (this.#summaryOf(of)?.turns ?? 0)) return false;
      this.#summaries = [...this.#summaries.filter((each) => !isSame(each.of, of)), { of, summary }];
      return true;
    },
  };

  /** Every turn of every conversation, in the order of appending. */
  get turns(): readonly Turn[] {
    return this.#turns;
  }

  async append(turn: Turn, options: AppendOptions = {}): Promise<void> {
    this.#check(options);
    const known = this.#turns.findIndex((each) => isSame(each, turn) && each.id === turn.id);
    if (known < 0) this.#turns.push(structuredClone(turn));
    else if (options.replace) {
      this.#summaries = this.#summaries.filter(({ of }) => !isSame(of, turn));
      this.#turns[known] = structuredClone(turn);
    }
  }

  async recent(
    conversation: Conversation,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#check(options);
    return options.limit > 0 ? this.#turnsOf(conversation).slice(-options.limit) : [];
  }

  async recall(
    conversation: Conversation,
    query: string,
    options: AbortOptions & { readonly limit: number },
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

  async sessions(
    tenant: string,
    { before, limit, ...options }: SessionPage,
  ): Promise<readonly StoredSession[]> {
    this.#check(options);
    const names = new Set(this.#turns.flatMap((turn) => (turn.tenant === tenant ? [turn.sessionId] : [])));
    const listed = [...names].map((sessionId) => describe(sessionId, this.#turnsOf({ tenant, sessionId })));
    return listed
      .sort(byLatest)
      .filter((session) => before === undefined || isAfter(session, before))
      .slice(0, limit);
  }

  async forget(target: ForgetTarget, options: AbortOptions = {}): Promise<number> {
    this.#check(options);
    parseForgetTarget(target);
    const { sessionId, tenant, turnId } = target;
    const followers = turnId === undefined ? [] : followersOf(this.#turnsOf({ tenant, sessionId }), turnId);
    const kept = this.#turns.filter((turn) => !isForgotten(target, turn));
    const forgotten = this.#turns.length - kept.length;
    const isChanged = ({ of }: { readonly of: Conversation }) =>
      this.#turns.some((turn) => isSame(turn, of) && isForgotten(target, turn));
    this.#summaries = this.#summaries.filter((each) => !isChanged(each));
    this.#turns = kept.map(
      (turn) => followers.find((each) => isSame(each, turn) && each.id === turn.id) ?? turn,
    );
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

  #summaryOf(conversation: Conversation): ConversationSummary | undefined {
    return this.#summaries.find(({ of }) => isSame(of, conversation))?.summary;
  }

  #turnsOf(conversation: Conversation): Turn[] {
    return this.#turns.filter((turn) => isSame(turn, conversation));
  }

  #check({ signal }: AbortOptions = {}): void {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('memory store');
  }
}

function describe(sessionId: string, turns: readonly Turn[]): StoredSession {
  const dates = turns.map(({ createdAt }) => createdAt);
  return {
    sessionId,
    title: titleOf(turns[0]?.prompt ?? ''),
    turns: turns.length,
    firstAt: Math.min(...dates),
    lastAt: Math.max(...dates),
  };
}

const byLatest = (a: StoredSession, b: StoredSession) =>
  b.lastAt - a.lastAt || (a.sessionId < b.sessionId ? -1 : 1);

const isAfter = ({ lastAt, sessionId }: StoredSession, before: NonNullable<SessionPage['before']>) =>
  lastAt < before.lastAt ||
  (lastAt === before.lastAt && before.sessionId !== undefined && sessionId > before.sessionId);

const isSame = (a: Conversation, b: Conversation) => a.tenant === b.tenant && a.sessionId === b.sessionId;
