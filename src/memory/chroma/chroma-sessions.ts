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
  /** Whether the index compares vectors itself; else the server is to be asked. */
  readonly hasVectors: boolean;
}

interface CachedSession extends LoadedSession, VectorHolder {
  hasVectors: boolean;
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

/** Turns indexed in one go. */
const turnsAtATime = 250;

export const turnAt = ({ bodies }: LoadedSession, position: number): Turn =>
  parseTurn(bodies[position] as string);

/** The conversations used last, kept level with the server, within a number of bytes. */
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

  /** Whether the conversation could be ranked without the server's vectors when it was last read. */
  hasVectors(key: string): boolean {
    return this.#cache.peek(key)?.hasVectors ?? false;
  }

  /** Takes note of a vector that was made here. */
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
    // Before the server is asked: a turn that is delivered meanwhile is then seen twice, not never.
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
    return this.#add(session, arrived, waiting) ? session : undefined;
  }

  async #loadAll(key: string, waiting: readonly TurnRecord[], signal?: AbortSignal): Promise<CachedSession> {
    let session = this.#empty();
    const listed: TurnRecord[] = [];
    let isInOrder = true;
    // Indexed while the next page is on its way, and in portions, so as not to hold up the event loop.
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

  /** Puts the session into the cache, at its size now and at that when its vectors have come. */
  #grow(key: string, session: CachedSession, vectors: Promise<void> | undefined): void {
    this.#cache.set(key, session);
    vectors?.then(
      () => {
        if (this.#cache.peek(key) === session) this.#cache.set(key, session);
      },
      // What is missing stays missing until the conversation is read anew; its words are found.
      () => undefined,
    );
  }

  /** False when one belongs before those that are there. */
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
