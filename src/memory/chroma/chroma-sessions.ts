import { LRUCache } from 'lru-cache';
import type { Turn } from '../../core/turn.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import { parseTurn } from '../shared/turn-body.js';
import type { ChromaTurns } from './chroma-turns.js';
import type { LocalVectors, VectorHolder } from './local-vectors.js';
import type { TurnIntake } from './turn-intake.js';
import { byOrder, type TurnRecord, textOf } from './turn-record.js';

/** The turns of one conversation, in order, and the index that ranks them. */
export interface LoadedSession {
  readonly index: ConversationIndex;
  /** The position of each record id, which is the sequence under which the index knows the turn. */
  readonly positions: ReadonlyMap<string, number>;
  /** The turns as JSON, by position. */
  readonly bodies: readonly string[];
  /** Whether the index compares vectors itself; otherwise the server is asked. */
  readonly hasVectors: boolean;
}

interface CachedSession extends LoadedSession, VectorHolder {
  hasVectors: boolean;
  readonly positions: Map<string, number>;
  readonly bodies: string[];
  bodyBytes: number;
  newestOrder: number;
  /** How many are known to be on the server, and the one that it accepted last. */
  stored: number;
  lastStored: string | undefined;
  /** The ids of those that are not on the server. */
  readonly waiting: Set<string>;
}

/** Turns indexed in one go. */
const turnsAtATime = 250;

export const turnAt = ({ bodies }: LoadedSession, position: number): Turn =>
  parseTurn(bodies[position] as string);

/** The conversations used last, kept up to date with the server, within a number of bytes. */
export class ChromaSessions {
  readonly #turns: ChromaTurns;
  readonly #intake: TurnIntake;
  readonly #vectors: LocalVectors | undefined;
  readonly #cache: LRUCache<string, CachedSession>;
  readonly #loading = new Map<string, Promise<unknown>>();

  constructor(options: {
    readonly turns: ChromaTurns;
    readonly intake: TurnIntake;
    readonly vectors: LocalVectors | undefined;
    readonly maxBytes: number;
  }) {
    this.#turns = options.turns;
    this.#intake = options.intake;
    this.#vectors = options.vectors;
    this.#cache = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ index, bodies, bodyBytes }) => index.bytes + bodyBytes + bodies.length * 200,
    });
  }

  /** The conversation with everything that was appended before the call. */
  load(key: string, signal?: AbortSignal): Promise<LoadedSession> {
    // One at a time per conversation: two loads would add the same turns twice.
    const earlier = this.#loading.get(key) ?? Promise.resolve();
    // The caller of the earlier load gets its failure; this load tries again.
    const load = earlier.catch(() => undefined).then(() => this.#load(key, signal));
    this.#loading.set(key, load);
    const done = () => {
      if (this.#loading.get(key) === load) this.#loading.delete(key);
    };
    load.then(done, done);
    return load;
  }

  /** Whether the conversation could be ranked without the server's vectors when it was last read. */
  hasVectors(key: string): boolean {
    return this.#cache.peek(key)?.hasVectors ?? false;
  }

  /** Adds a vector that was made here. */
  addVector(key: string, id: string, vector: Float32Array): void {
    this.#vectors?.keep(id, vector);
    const session = this.#cache.peek(key);
    if (session?.positions.has(id)) this.#vectors?.place(session, id);
  }

  clear(): void {
    this.#cache.clear();
    this.#vectors?.clear();
  }

  close(): void {
    this.#cache.clear();
    this.#vectors?.close();
  }

  async #load(key: string, signal?: AbortSignal): Promise<LoadedSession> {
    // Read before the server is asked: a turn that is delivered meanwhile is seen twice, not missed.
    const waiting = await this.#intake.waiting(key);
    const cached = this.#cache.get(key);
    const level = cached && (await this.#catchUp(key, cached, waiting, signal));
    if (level) {
      this.#grow(key, level, this.#vectors?.refresh(level));
      return level;
    }
    this.#cache.delete(key);
    return this.#loadAll(key, waiting, signal);
  }

  /** Undefined if a turn was forgotten, or one appeared that belongs before known ones. */
  async #catchUp(
    key: string,
    session: CachedSession,
    waiting: readonly TurnRecord[],
    signal?: AbortSignal,
  ): Promise<CachedSession | undefined> {
    // The last known record is read again: if it is not in its place, some before it were forgotten.
    const overlap = Math.min(1, session.stored);
    const listed = await this.#turns.list(key, session.stored - overlap, { signal });
    if (overlap === 1 && !isLastStored(session, listed[0])) return undefined;
    const arrived = listed.slice(overlap);
    noteStored(session, arrived);
    const stillWaiting = new Set(waiting.map(({ id }) => id));
    for (const id of session.waiting) if (!stillWaiting.has(id)) return undefined;
    return this.#add(session, arrived, waiting) ? session : undefined;
  }

  async #loadAll(key: string, waiting: readonly TurnRecord[], signal?: AbortSignal): Promise<CachedSession> {
    let session = this.#empty();
    const listed: TurnRecord[] = [];
    let isInOrder = true;
    // Indexed while the next page is read, and in portions, so as not to block the event loop.
    for await (const page of this.#turns.pages(key, 0, { signal })) {
      for (let at = 0; at < page.length; at += turnsAtATime) {
        isInOrder &&= this.#add(session, page.slice(at, at + turnsAtATime), []);
        await new Promise((resolve) => setImmediate(resolve));
      }
      listed.push(...page);
    }
    if (!isInOrder || !this.#add(session, [], waiting)) {
      session = this.#empty();
      this.#add(session, listed, waiting);
    }
    noteStored(session, listed);
    this.#grow(key, session, this.#vectors?.load(key, session, listed));
    return session;
  }

  #empty(): CachedSession {
    return {
      index: new ConversationIndex({ dimensions: this.#vectors?.dimensions }),
      positions: new Map(),
      bodies: [],
      bodyBytes: 0,
      newestOrder: 0,
      stored: 0,
      lastStored: undefined,
      waiting: new Set(),
      vectorless: new Set(),
      hasVectors: false,
      refreshedAt: 0,
    };
  }

  /** Puts the session into the cache, now and again at its size with the vectors. */
  #grow(key: string, session: CachedSession, vectors: Promise<void> | undefined): void {
    this.#cache.set(key, session);
    vectors?.then(
      () => {
        if (this.#cache.peek(key) === session) this.#cache.set(key, session);
      },
      // Missing vectors stay missing until the conversation is read again; its words are found.
      () => undefined,
    );
  }

  /** False if a turn belongs before known ones. */
  #add(session: CachedSession, stored: readonly TurnRecord[], waiting: readonly TurnRecord[]): boolean {
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
      this.#vectors?.place(session, record.id);
    }
    for (const { id } of unstored) session.waiting.add(id);
    return true;
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
