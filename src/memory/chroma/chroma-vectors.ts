import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';
import type { Embedder } from '../embedder.js';
import type { ForgetTarget } from '../memory-store.js';
import { packVector } from '../rank/vector-table.js';
import type { EmbeddingSource } from '../shared/embedding-backlog.js';
import type { ChromaConnection } from './chroma-connection.js';
import { type ChromaTurns, type TurnRecord, textOf } from './chroma-turns.js';
import { isForgotten, type RecordScope } from './scope.js';

/** Turns that wait for a vector in this process; more are found when their session is next read. */
const longestBacklog = 10_000;
/** Embedding starts at this many turns, or this long after the first, so that turns share requests. */
const gatheredTurns = 64;
const gatherMs = 1_000;
/** Vectors made here lately, whose turns may not have been read back yet. */
const keptVectors = 2_000;

/** A stored turn that waits for its vector. */
interface WaitingTurn {
  readonly id: string;
  readonly scope: RecordScope;
  readonly text: string;
}

/** The vectors of one embedder, in a separate collection, and the turns that wait for theirs. */
export class ChromaVectors implements EmbeddingSource<string> {
  readonly collection: string;
  readonly dimensions: number;
  readonly #connection: ChromaConnection;
  readonly #turns: ChromaTurns;
  readonly #clock: Clock;
  readonly #onGathered: () => void;
  readonly #waiting = new Map<string, WaitingTurn>();
  readonly #made = new LRUCache<string, Uint8Array>({ max: keptVectors });
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
  }) {
    const { model, dimensions } = options.embedder;
    this.dimensions = dimensions;
    this.#connection = options.connection;
    this.#turns = options.turns;
    this.#clock = options.clock;
    this.#onGathered = options.onGathered;
    const name = createHash('sha256').update(`${dimensions} ${model}`).digest('hex').slice(0, 24);
    this.collection = `${options.prefix}${name}`;
    this.#connection.expect(this.collection, { embedding_model: model, embedding_dimensions: dimensions });
  }

  get pending(): number {
    return this.#waiting.size;
  }

  /** Vectors that were made here so far. */
  get stored(): number {
    return this.#stored;
  }

  count(): Promise<number> {
    return this.#connection.call(this.collection, (collection) => collection.count());
  }

  /** Queues turns. */
  add(records: readonly TurnRecord[]): void {
    for (const record of records) {
      if (this.#waiting.size >= longestBacklog) break;
      this.#waiting.set(record.id, { id: record.id, scope: record.scope, text: textOf(record) });
    }
    if (this.#waiting.size >= gatheredTurns) this.#onGathered();
    else if (this.#waiting.size > 0)
      this.#gathering ??= this.#clock.setTimeout(() => this.#gathered(), gatherMs, { isBackground: true });
  }

  /** Queues those of the turns that have no vector of this embedder; returns the ids of the others. */
  async addMissing(records: readonly TurnRecord[], signal?: AbortSignal): Promise<ReadonlySet<string>> {
    const known = new Set<string>();
    this.#watches.add(known);
    try {
      const ids = records.map(({ id }) => id);
      for (const id of await this.#connection.known(this.collection, ids, signal)) known.add(id);
    } finally {
      this.#watches.delete(known);
    }
    this.add(records.filter(({ id }) => !known.has(id)));
    return known;
  }

  close(): void {
    if (this.#gathering !== undefined) this.#clock.clearTimeout(this.#gathering);
    this.#made.clear();
  }

  #gathered(): void {
    this.#gathering = undefined;
    this.#onGathered();
  }

  isWaiting(id: string): boolean {
    return this.#waiting.has(id);
  }

  /** A vector that was made here lately, packed. */
  madeLately(id: string): Uint8Array | undefined {
    return this.#made.get(id);
  }

  /** The vectors that exist, packed, by id. */
  async fetch(ids: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>> {
    const found = await this.#connection.call(this.collection, (collection) =>
      collection.get({ ids: [...ids], include: ['embeddings'] }),
    );
    return new Map(
      found.ids.map((id, at) => [id, packVector(Float32Array.from(found.embeddings[at] ?? []))]),
    );
  }

  forget(target: ForgetTarget): void {
    for (const waiting of this.#waiting.values()) {
      if (isForgotten(target, waiting)) this.#waiting.delete(waiting.id);
    }
    this.#made.clear();
  }

  async next(limit: number): Promise<readonly { readonly key: string; readonly text: string }[]> {
    return [...this.#waiting.values()].slice(0, limit).map(({ id, text }) => ({ key: id, text }));
  }

  async store(vectors: readonly { readonly key: string; readonly vector: Float32Array }[]): Promise<void> {
    const wanted = vectors.flatMap(({ key, vector }) => {
      const waiting = this.#waiting.get(key);
      return waiting ? [{ ...waiting, vector }] : [];
    });
    if (wanted.length === 0) return;
    const ids = wanted.map(({ id }) => id);
    await this.#connection.call(this.collection, (collection) =>
      collection.upsert({
        ids,
        embeddings: wanted.map(({ vector }) => Array.from(vector)),
        metadatas: wanted.map(({ scope }) => ({ ...scope })),
      }),
    );
    const orphans = await this.#deleteOrphans(ids);
    this.#stored += wanted.length - orphans.length;
    for (const { id, vector } of wanted) {
      this.#waiting.delete(id);
      for (const watch of this.#watches) watch.add(id);
      if (!orphans.includes(id)) this.#made.set(id, packVector(vector));
    }
  }

  /** A turn may have been forgotten, here or by another process, while its vector was made. */
  async #deleteOrphans(ids: string[]): Promise<readonly string[]> {
    const alive = await this.#turns.known(ids);
    const orphans = ids.filter((id) => !alive.has(id));
    if (orphans.length > 0) {
      await this.#connection.call(this.collection, (collection) => collection.delete({ ids: orphans }));
    }
    return orphans;
  }
}
