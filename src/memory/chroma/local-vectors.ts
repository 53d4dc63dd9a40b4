import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';
import type { ConversationIndex } from '../rank/conversation-index.js';
import { packVector } from '../rank/vector-table.js';
import type { ChromaVectors } from './chroma-vectors.js';
import type { TurnRecord } from './turn-record.js';

/** The vectors of a cached conversation. */
export interface VectorHolder {
  readonly index: ConversationIndex;
  readonly positions: ReadonlyMap<string, number>;
  /** The turns whose vector is not in the index. */
  readonly vectorless: Set<string>;
  /** Whether the index has all vectors but the latest, so that the server need not be asked. */
  hasVectors: boolean;
  refreshedAt: number;
}

/** Vectors made here lately, whose turns may not have been read back yet. */
const keptVectors = 2_000;
/** Vectors come as JSON, which is parsed in one go: few at a time, so as not to block the event loop. */
const fetchedAtATime = 100;
const refreshEveryMs = 5_000;
/** Share of the cache that one conversation may take; longer ones are compared by the server. */
const largestShare = 0.5;

/**
 * Copies of the vectors of the cached conversations, in their indexes: comparing a few thousand takes
 * a fraction of the time of a request, and is exact.
 */
export class LocalVectors {
  readonly dimensions: number;
  readonly #vectors: ChromaVectors;
  readonly #largest: number;
  readonly #clock: Clock;
  readonly #made = new LRUCache<string, Uint8Array>({ max: keptVectors });
  #isClosed = false;

  constructor(options: {
    readonly vectors: ChromaVectors;
    readonly dimensions: number;
    /** Of the whole cache. */
    readonly maxBytes: number;
    readonly clock: Clock;
  }) {
    this.dimensions = options.dimensions;
    this.#vectors = options.vectors;
    this.#largest = (options.maxBytes * largestShare) / (options.dimensions * 4);
    this.#clock = options.clock;
  }

  /** Keeps a vector that was made here. */
  keep(id: string, vector: Float32Array): void {
    this.#made.set(id, packVector(vector));
  }

  clear(): void {
    this.#made.clear();
  }

  /** Stops fetching. */
  close(): void {
    this.#isClosed = true;
    this.clear();
  }

  /** For a turn that was just indexed, or whose vector was just made. */
  place(holder: VectorHolder, id: string): void {
    const packed = this.#made.get(id);
    if (packed) setVector(holder, id, packed);
    else holder.vectorless.add(id);
  }

  /** Fetches the vectors of a conversation, and queues the missing ones. */
  async load(conversation: string, holder: VectorHolder, records: readonly TurnRecord[]): Promise<void> {
    const known = await this.#vectors.addMissing(conversation, records);
    if (records.length > this.#largest) return;
    await this.#fetch(holder, [...known]);
    holder.refreshedAt = this.#clock.now();
    holder.hasVectors = true;
  }

  /** Fetches what other processes have made since, at most every 5 s. */
  async refresh(holder: VectorHolder): Promise<void> {
    const now = this.#clock.now();
    if (!holder.hasVectors || now - holder.refreshedAt < refreshEveryMs) return;
    const ids = [...holder.vectorless].filter((id) => !this.#vectors.isWaiting(id));
    if (ids.length === 0) return;
    holder.refreshedAt = now;
    await this.#fetch(holder, ids);
    if (holder.positions.size > this.#largest) holder.hasVectors = false;
  }

  async #fetch(holder: VectorHolder, ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length && !this.#isClosed; at += fetchedAtATime) {
      const found = await this.#vectors.fetch(ids.slice(at, at + fetchedAtATime));
      for (const [id, vector] of found) setVector(holder, id, packVector(vector));
    }
  }
}

function setVector({ index, positions, vectorless }: VectorHolder, id: string, packed: Uint8Array): void {
  const position = positions.get(id);
  if (position === undefined) return;
  index.setVector(position, packed);
  vectorless.delete(id);
}
