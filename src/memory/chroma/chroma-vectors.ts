import { createHash } from 'node:crypto';
import type { AbortOptions } from '../../core/abort.js';
import type { Clock } from '../../core/clock.js';
import type { Embedder } from '../embedder.js';
import type { ForgetTarget } from '../memory-store.js';
import type { EmbeddingSource } from '../shared/embedding-backlog.js';
import type { ChromaConnection } from './chroma-connection.js';
import type { ChromaTurns } from './chroma-turns.js';
import { inConversation, isForgotten, type RecordScope } from './scope.js';
import { type TurnRecord, textOf } from './turn-record.js';

/** Nearest turns requested; turns beyond them count as the farthest of these. */
const neighbors = 200;
/** Turns that wait for a vector in this process; more are found when their session is next read. */
const longestBacklog = 10_000;
const pageSize = 1_000;
/** Embedding starts at this many turns, or this long after the first, so that turns share requests. */
const gatheredTurns = 64;
const gatherMs = 1_000;

/** The nearest turns of a conversation. */
export interface NearestTurns {
  /** Cosine by record id. */
  readonly similarities: ReadonlyMap<string, number>;
  /** Whether these are all that have a vector. */
  readonly complete: boolean;
}

/** A stored turn that waits for its vector. */
interface WaitingTurn {
  readonly id: string;
  readonly scope: RecordScope;
  readonly text: string;
}

/** A vector that is on the server now. */
export interface MadeVector {
  readonly id: string;
  readonly conversation: string;
  readonly vector: Float32Array;
}

/** The vectors of one embedder, in a separate collection, and the turns that wait for theirs. */
export class ChromaVectors implements EmbeddingSource<string> {
  readonly #connection: ChromaConnection;
  readonly #turns: ChromaTurns;
  readonly #collection: string;
  readonly #clock: Clock;
  readonly #onGathered: () => void;
  readonly #onMade: (made: MadeVector) => void;
  readonly #waiting = new Map<string, WaitingTurn>();
  /** Collect the vectors made during a look-up, whose reply may be older. */
  readonly #watches = new Set<Set<string>>();
  #gathering: unknown;
  #stored = 0;

  constructor(options: {
    readonly connection: ChromaConnection;
    /** Prefix of the collections of all embedders. */
    readonly prefix: string;
    readonly turns: ChromaTurns;
    readonly embedder: Embedder;
    readonly clock: Clock;
    /** Called when turns wait for vectors. */
    readonly onGathered: () => void;
    readonly onMade: (made: MadeVector) => void;
  }) {
    const { model, dimensions } = options.embedder;
    this.#connection = options.connection;
    this.#turns = options.turns;
    this.#clock = options.clock;
    this.#onGathered = options.onGathered;
    this.#onMade = options.onMade;
    const name = createHash('sha256').update(`${dimensions} ${model}`).digest('hex').slice(0, 24);
    this.#collection = `${options.prefix}${name}`;
    this.#connection.expect(this.#collection, { embedding_model: model, embedding_dimensions: dimensions });
  }

  get collection(): string {
    return this.#collection;
  }

  get pending(): number {
    return this.#waiting.size;
  }

  /** Vectors that were made here so far. */
  get stored(): number {
    return this.#stored;
  }

  count(): Promise<number> {
    return this.#connection.call(this.#collection, (collection) => collection.count());
  }

  add(records: readonly TurnRecord[]): void {
    for (const record of records) {
      if (this.#waiting.size >= longestBacklog) break;
      this.#waiting.set(record.id, { id: record.id, scope: record.scope, text: textOf(record) });
    }
    if (this.#waiting.size >= gatheredTurns) this.#onGathered();
    else if (this.#waiting.size > 0)
      this.#gathering ??= this.#clock.setTimeout(() => this.#gathered(), gatherMs, { isBackground: true });
  }

  close(): void {
    if (this.#gathering !== undefined) this.#clock.clearTimeout(this.#gathering);
  }

  #gathered(): void {
    this.#gathering = undefined;
    this.#onGathered();
  }

  /** Queues the turns of a conversation without a vector of this embedder; returns the ids of the others. */
  async addMissing(conversation: string, records: readonly TurnRecord[]): Promise<ReadonlySet<string>> {
    const where = inConversation(conversation);
    const known = await this.#watching(async (found) => {
      for (let offset = 0; ; offset += pageSize) {
        const { ids } = await this.#connection.call(this.#collection, (collection) =>
          collection.get({ where, include: [], limit: pageSize, offset }),
        );
        for (const id of ids) found.add(id);
        if (ids.length < pageSize) break;
      }
    });
    this.add(records.filter(({ id }) => !known.has(id)));
    if (this.#waiting.size > 0) this.#onGathered();
    return known;
  }

  /** Queues those of the turns that have no vector of this embedder. */
  async addUnembedded(records: readonly TurnRecord[], signal?: AbortSignal): Promise<void> {
    const known = await this.#watching(async (found) => {
      const { ids } = await this.#connection.call(
        this.#collection,
        (collection) => collection.get({ ids: records.map(({ id }) => id), include: [] }),
        signal,
      );
      for (const id of ids) found.add(id);
    });
    this.add(records.filter(({ id }) => !known.has(id)));
  }

  /** The ids that were looked up, and those of the vectors made meanwhile. */
  async #watching(lookUp: (found: Set<string>) => Promise<void>): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    this.#watches.add(found);
    try {
      await lookUp(found);
    } finally {
      this.#watches.delete(found);
    }
    return found;
  }

  isWaiting(id: string): boolean {
    return this.#waiting.has(id);
  }

  /** The vectors that exist, by id. */
  async fetch(ids: readonly string[]): Promise<ReadonlyMap<string, Float32Array>> {
    const found = await this.#connection.call(this.#collection, (collection) =>
      collection.get({ ids: [...ids], include: ['embeddings'] }),
    );
    return new Map(found.ids.map((id, at) => [id, Float32Array.from(found.embeddings[at] ?? [])]));
  }

  forget(target: ForgetTarget): void {
    for (const { id, scope } of this.#waiting.values()) {
      if (isForgotten(target, scope)) this.#waiting.delete(id);
    }
  }

  async next(limit: number): Promise<readonly { readonly key: string; readonly text: string }[]> {
    const found: { key: string; text: string }[] = [];
    for (const { id, text } of this.#waiting.values()) {
      if (found.length === limit) break;
      found.push({ key: id, text });
    }
    return found;
  }

  async store(vectors: readonly { readonly key: string; readonly vector: Float32Array }[]): Promise<void> {
    const wanted = vectors.flatMap(({ key, vector }) => {
      const waiting = this.#waiting.get(key);
      return waiting ? [{ ...waiting, vector }] : [];
    });
    if (wanted.length === 0) return;
    const ids = wanted.map(({ id }) => id);
    await this.#connection.call(this.#collection, (collection) =>
      collection.upsert({
        ids,
        embeddings: wanted.map(({ vector }) => Array.from(vector)),
        metadatas: wanted.map(({ scope }) => ({ ...scope })),
      }),
    );
    const orphans = await this.#deleteOrphans(ids);
    this.#stored += wanted.length - orphans.length;
    for (const { id, scope, vector } of wanted) {
      this.#waiting.delete(id);
      for (const watch of this.#watches) watch.add(id);
      if (!orphans.includes(id)) this.#onMade({ id, conversation: scope.conversation, vector });
    }
  }

  /** A turn may have been forgotten, here or by another process, while its vector was made. */
  async #deleteOrphans(ids: string[]): Promise<readonly string[]> {
    const alive = await this.#turns.known(ids);
    const orphans = ids.filter((id) => !alive.has(id));
    if (orphans.length > 0) {
      await this.#connection.call(this.#collection, (collection) => collection.delete({ ids: orphans }));
    }
    return orphans;
  }

  async nearest(conversation: string, vector: Float32Array, { signal }: AbortOptions): Promise<NearestTurns> {
    const { ids, distances } = await this.#connection.call(
      this.#collection,
      (collection) =>
        collection.query({
          queryEmbeddings: [Array.from(vector)],
          nResults: neighbors,
          where: inConversation(conversation),
          include: ['distances'],
        }),
      signal,
    );
    const similarities = new Map(ids[0]?.map((id, at) => [id, 1 - (distances[0]?.[at] ?? 1)]));
    return { similarities, complete: similarities.size < neighbors };
  }
}

/**
 * Similarities by position in the conversation. Turns beyond the nearest ones count as far as the
 * farthest of them; turns without a vector are left out.
 */
export function byPosition(
  { similarities, complete }: NearestTurns,
  positions: ReadonlyMap<string, number>,
): ReadonlyMap<number, number> {
  const farthest = Math.min(...similarities.values());
  const found = new Map<number, number>();
  for (const [id, position] of positions) {
    const similarity = similarities.get(id) ?? (complete ? undefined : farthest);
    if (similarity !== undefined) found.set(position, similarity);
  }
  return found;
}
