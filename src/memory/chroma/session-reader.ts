import { type Clock, sleep, wallTime } from '../../core/clock.js';
import type { Conversation, Turn } from '../../core/turn.js';
import type { MemoryStats } from '../memory-store.js';
import { ConversationIndex } from '../rank/conversation-index.js';
import { conversationKey } from '../shared/conversation-key.js';
import type { RankedSession, SessionSource } from '../shared/ranked-sessions.js';
import { parseTurn } from '../shared/turn-body.js';
import { type ChromaTurns, type TurnRecord, textOf } from './chroma-turns.js';
import type { ChromaVectors } from './chroma-vectors.js';

/** Turns indexed in one go. */
const turnsAtATime = 250;
/** Vectors come as JSON, which is parsed in one go: few at a time, so as not to block the event loop. */
const vectorsAtATime = 100;
const refreshEveryMs = 5_000;
/** Pauses before a failed look at the vectors of a conversation is repeated. */
const retryAfterMs = [100, 500, 2_000];
/** How often a recall looks for vectors that are being copied. */
const pollMs = 10;

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** By place in the conversation. */
const byOrder = (a: TurnRecord, b: TurnRecord): number =>
  a.scope.order - b.scope.order || (a.id < b.id ? -1 : 1);

/** The turns of one conversation, in order, and the index that ranks them by position. */
export class ChromaSession implements RankedSession {
  readonly index: ConversationIndex;
  /** The position of each record id. */
  readonly positions = new Map<string, number>();
  /** The turns as JSON, by position. */
  readonly bodies: string[] = [];
  /** How many are on the server, and the one that it accepted last. */
  stored = 0;
  lastStored: string | undefined;
  /** Ids of the turns whose vector is not in the index. */
  readonly vectorless = new Set<string>();
  isCopying = false;
  refreshedAt = 0;
  #bodyBytes = 0;
  #newestOrder = 0;

  constructor(dimensions: number | undefined) {
    this.index = new ConversationIndex({ dimensions });
  }

  get bytes(): number {
    return this.index.bytes + this.#bodyBytes + this.bodies.length * 200;
  }

  turns(from: number, to: number): Turn[] {
    return this.bodies.slice(from, to).map(parseTurn);
  }

  /** False if a turn belongs before known ones. */
  add(records: readonly TurnRecord[]): boolean {
    const fresh = records.filter(({ id }) => !this.positions.has(id)).sort(byOrder);
    if ((fresh[0]?.scope.order ?? Number.POSITIVE_INFINITY) < this.#newestOrder) return false;
    for (const record of fresh) {
      const position = this.bodies.push(record.body) - 1;
      this.positions.set(record.id, position);
      this.index.add(position, textOf(record));
      this.vectorless.add(record.id);
      this.#bodyBytes += record.body.length * 2;
      this.#newestOrder = record.scope.order;
    }
    return true;
  }

  setVector(id: string, packed: Uint8Array): void {
    const position = this.positions.get(id);
    if (position === undefined) return;
    this.index.setVector(position, packed);
    this.vectorless.delete(id);
  }

  noteStored(records: readonly TurnRecord[]): void {
    this.stored += records.length;
    this.lastStored = records.at(-1)?.id ?? this.lastStored;
  }

  isLastStored(record: TurnRecord | undefined): boolean {
    const { lastStored = '' } = this;
    return record?.id === lastStored && record.body === this.bodies[this.positions.get(lastStored) as number];
  }
}

/** Reads conversations from the server, and copies their vectors in the background. */
export class SessionReader implements SessionSource<ChromaSession> {
  readonly #turns: ChromaTurns;
  readonly #vectors: ChromaVectors | undefined;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Why vectors could not be read last. */
  lastError: MemoryStats['lastError'] = null;
  #isClosed = false;

  constructor(options: {
    readonly turns: ChromaTurns;
    readonly vectors: ChromaVectors | undefined;
    readonly clock: Clock;
    /** How long a recall waits for the vectors of a conversation that was just read. */
    readonly timeoutMs: number;
  }) {
    this.#turns = options.turns;
    this.#vectors = options.vectors;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
  }

  async read(
    conversation: Conversation,
    cached: ChromaSession | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ChromaSession> {
    const key = conversationKey(conversation);
    const isLevel = cached !== undefined && (await this.#catchUp(key, cached, signal));
    if (!isLevel) return this.#readAll(key, signal);
    this.#copyVectors(cached, (vectors) => this.#refreshable(cached, vectors));
    return cached;
  }

  turnsAt({ bodies }: ChromaSession, sequences: readonly number[]): ReadonlyMap<number, Turn> {
    return new Map(sequences.map((sequence) => [sequence, parseTurn(bodies[sequence] as string)]));
  }

  /** Waits for vectors that are being copied; after the time-out those that are there decide. */
  async ready(session: ChromaSession, signal: AbortSignal | undefined): Promise<void> {
    const until = this.#clock.now() + this.#timeoutMs;
    while (session.isCopying && this.#clock.now() < until) await sleep(this.#clock, pollMs, signal);
    for (const id of this.#vectors ? session.vectorless : []) {
      const made = this.#vectors?.madeLately(id);
      if (made) session.setVector(id, made);
    }
  }

  /** Stops copying. */
  close(): void {
    this.#isClosed = true;
  }

  /** False if a turn was forgotten, or one appeared that belongs before known ones. */
  async #catchUp(key: string, session: ChromaSession, signal: AbortSignal | undefined): Promise<boolean> {
    // The last known record is read again: if it is not in its place, some before it were forgotten.
    const overlap = Math.min(1, session.stored);
    const listed: TurnRecord[] = [];
    for await (const page of this.#turns.pages(key, session.stored - overlap, signal)) listed.push(...page);
    if (overlap === 1 && !session.isLastStored(listed[0])) return false;
    const arrived = listed.slice(overlap);
    session.noteStored(arrived);
    return session.add(arrived);
  }

  async #readAll(key: string, signal: AbortSignal | undefined): Promise<ChromaSession> {
    let session = new ChromaSession(this.#vectors?.dimensions);
    const listed: TurnRecord[] = [];
    let isInOrder = true;
    for await (const page of this.#turns.pages(key, 0, signal)) {
      for (let at = 0; at < page.length && isInOrder; at += turnsAtATime) {
        isInOrder = session.add(page.slice(at, at + turnsAtATime));
        await new Promise((resolve) => setImmediate(resolve));
      }
      listed.push(...page);
    }
    if (!isInOrder) {
      session = new ChromaSession(this.#vectors?.dimensions);
      session.add(listed);
    }
    session.noteStored(listed);
    this.#copyVectors(session, async (vectors) => [...(await vectors.addMissing(listed))]);
    return session;
  }

  /** What other processes may have made since, at most every 5 s. */
  async #refreshable(session: ChromaSession, vectors: ChromaVectors): Promise<readonly string[]> {
    if (this.#clock.now() - session.refreshedAt < refreshEveryMs) return [];
    session.refreshedAt = this.#clock.now();
    return [...session.vectorless].filter((id) => !vectors.isWaiting(id) && !vectors.madeLately(id));
  }

  #copyVectors(session: ChromaSession, find: (vectors: ChromaVectors) => Promise<readonly string[]>): void {
    const vectors = this.#vectors;
    if (!vectors || session.isCopying) return;
    session.isCopying = true;
    const copy = async () => {
      const ids = await this.#insist(() => find(vectors));
      for (let at = 0; at < ids.length && !this.#isClosed; at += vectorsAtATime) {
        const found = await vectors.fetch(ids.slice(at, at + vectorsAtATime));
        for (const [id, vector] of found) session.setVector(id, vector);
      }
      session.refreshedAt = this.#clock.now();
    };
    copy()
      // Vectors that cannot be read stay missing until the session leaves the cache; its words are found.
      .catch((error: unknown) => {
        if (!this.#isClosed) this.lastError = { message: messageOf(error), at: wallTime(this.#clock) };
      })
      .finally(() => {
        session.isCopying = false;
      });
  }

  /** A conversation that is in the cache is not listed again, so that one failure would cost all its vectors. */
  async #insist<Result>(task: () => Promise<Result>): Promise<Result> {
    for (const pauseMs of retryAfterMs) {
      try {
        return await task();
      } catch (error) {
        if (this.#isClosed) throw error;
        await sleep(this.#clock, pauseMs);
      }
    }
    return task();
  }
}
