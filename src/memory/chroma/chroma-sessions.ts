import { LRUCache } from 'lru-cache';
import type { Turn } from '../../types.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import type { ChromaTurns } from './chroma-turns.js';
import type { TurnIntake } from './turn-intake.js';
import { byOrder, type TurnRecord, textOf } from './turn-record.js';

/** The turns of one conversation, in order, and the index that ranks them. */
export interface LoadedSession {
  readonly index: ConversationIndex;
  /** The position of each record id, which is the sequence under which the index knows the turn. */
  readonly positions: ReadonlyMap<string, number>;
  /** The turns as JSON, by position. */
  readonly bodies: readonly string[];
}

interface CachedSession extends LoadedSession {
  readonly positions: Map<string, number>;
  readonly bodies: string[];
  bodyBytes: number;
  newestOrder: number;
  /** How many of them are known to be on the server, and which of those it accepted last. */
  stored: number;
  lastStored: string | undefined;
  /** Those that are not. */
  readonly waiting: Set<string>;
}

export const turnAt = ({ bodies }: LoadedSession, position: number): Turn =>
  JSON.parse(bodies[position] as string) as Turn;

/** The conversations used last, kept level with the server, within a number of bytes. */
export class ChromaSessions {
  readonly #turns: ChromaTurns;
  readonly #intake: TurnIntake;
  readonly #onLoaded: (conversation: string, records: readonly TurnRecord[]) => void;
  readonly #cache: LRUCache<string, CachedSession>;
  readonly #loading = new Map<string, Promise<unknown>>();

  constructor(options: {
    readonly turns: ChromaTurns;
    readonly intake: TurnIntake;
    readonly maxBytes: number;
    /** Told of all turns of a conversation that are on the server when it is read from the start. */
    readonly onLoaded: (conversation: string, records: readonly TurnRecord[]) => void;
  }) {
    this.#turns = options.turns;
    this.#intake = options.intake;
    this.#onLoaded = options.onLoaded;
    this.#cache = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ index, bodies, bodyBytes }) => index.bytes + bodyBytes + bodies.length * 200,
    });
  }

  /** The conversation with everything that was appended before the call. */
  load(key: string, signal?: AbortSignal): Promise<LoadedSession> {
    // One at a time per conversation: two that add the same turns would double them.
    const earlier = this.#loading.get(key) ?? Promise.resolve();
    // The caller of the earlier one hears of its failure; this one tries anew.
    const load = earlier.catch(() => undefined).then(() => this.#load(key, signal));
    this.#loading.set(key, load);
    const done = () => {
      if (this.#loading.get(key) === load) this.#loading.delete(key);
    };
    load.then(done, done);
    return load;
  }

  clear(): void {
    this.#cache.clear();
  }

  async #load(key: string, signal?: AbortSignal): Promise<LoadedSession> {
    // Before the server is asked: a turn that is delivered meanwhile is then seen twice, not never.
    const waiting = await this.#intake.waiting(key);
    const cached = this.#cache.get(key);
    let session = cached && (await this.#catchUp(key, cached, waiting, signal));
    if (!session) {
      this.#cache.delete(key);
      session = await this.#loadAll(key, waiting, signal);
    }
    this.#cache.set(key, session);
    return session;
  }

  /** Nothing when a turn went, or turned up that belongs before known ones. */
  async #catchUp(
    key: string,
    session: CachedSession,
    waiting: readonly TurnRecord[],
    signal?: AbortSignal,
  ): Promise<CachedSession | undefined> {
    // The last known record is asked for again: if it is not in its place, some went before it.
    const overlap = Math.min(1, session.stored);
    const listed = await this.#turns.list(key, session.stored - overlap, { signal });
    if (overlap === 1 && !isLastStored(session, listed[0])) return undefined;
    const arrived = listed.slice(overlap);
    noteStored(session, arrived);
    const stillWaiting = new Set(waiting.map(({ id }) => id));
    for (const id of session.waiting) if (!stillWaiting.has(id)) return undefined;
    return addRecords(session, arrived, waiting) ? session : undefined;
  }

  async #loadAll(key: string, waiting: readonly TurnRecord[], signal?: AbortSignal): Promise<CachedSession> {
    const listed = await this.#turns.list(key, 0, { signal });
    const session: CachedSession = {
      index: new ConversationIndex(),
      positions: new Map(),
      bodies: [],
      bodyBytes: 0,
      newestOrder: 0,
      stored: 0,
      lastStored: undefined,
      waiting: new Set(),
    };
    noteStored(session, listed);
    addRecords(session, listed, waiting);
    this.#onLoaded(key, listed);
    return session;
  }
}

function isLastStored({ lastStored = '', positions, bodies }: CachedSession, record: TurnRecord | undefined) {
  return record?.id === lastStored && record.body === bodies[positions.get(lastStored) as number];
}

function noteStored(session: CachedSession, listed: readonly TurnRecord[]): void {
  session.stored += listed.length;
  session.lastStored = listed.at(-1)?.id ?? session.lastStored;
  for (const { id } of listed) session.waiting.delete(id);
}

/** False when one belongs before those that are there. */
function addRecords(
  session: CachedSession,
  stored: readonly TurnRecord[],
  waiting: readonly TurnRecord[],
): boolean {
  const known = new Set(stored.map(({ id }) => id));
  const unstored = waiting.filter(({ id }) => !known.has(id) && !session.positions.has(id));
  const fresh = [...stored.filter(({ id }) => !session.positions.has(id)), ...unstored].sort(byOrder);
  if ((fresh[0]?.scope.order ?? Number.POSITIVE_INFINITY) < session.newestOrder) return false;
  for (const record of fresh) {
    const position = session.bodies.length;
    session.positions.set(record.id, position);
    session.index.add(position, textOf(record));
    session.bodies.push(record.body);
    session.bodyBytes += record.body.length * 2;
    session.newestOrder = record.scope.order;
  }
  for (const { id } of unstored) session.waiting.add(id);
  return true;
}
