import type { ChromaClient, Collection } from 'chromadb';
import { raceAbort } from '../../core/abort.js';
import { ExponentialBackoff } from '../../core/backoff.js';
import { type Clock, sleep } from '../../core/clock.js';
import { MemoryError } from '../../core/errors.js';
import { explainChromaFailure, isPassing } from './explain-failure.js';
import { openClient } from './open-client.js';

export interface ChromaConnectionOptions {
  readonly url: string;
  readonly client?: ChromaClient | undefined;
  readonly tenant?: string | undefined;
  readonly database?: string | undefined;
  readonly token?: string | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const idsAtATime = 1_000;
/** Waits before the second, third and fourth try of one call. */
const retryDelaysMs = [50, 200, 800];
/** After a call whose retries all failed, the calls of this long try only once. */
const outages = { initialMs: 500, maxMs: 30_000 };

/** The embedder that made the vectors of a collection, as named in its metadata. */
export interface VectorOrigin {
  readonly embedding_model: string;
  readonly embedding_dimensions: number;
}

/** A Chroma server: client and collections on first use, retries, time-outs, explained errors. */
export class ChromaConnection {
  readonly #options: ChromaConnectionOptions;
  readonly #collections = new Map<string, Promise<Collection>>();
  readonly #expected = new Map<string, VectorOrigin>();
  #client: Promise<ChromaClient> | undefined;
  readonly #outage = new ExponentialBackoff(outages);
  #outageUntil = 0;

  constructor(options: ChromaConnectionOptions) {
    this.#options = options;
  }

  /** Refuses the collection from now on if its vectors are of another origin or space. */
  expect(name: string, origin: VectorOrigin): void {
    this.#expected.set(name, origin);
  }

  /** Runs one request on a collection, which is created if missing. Must be safe to repeat. */
  call<T>(name: string, work: (collection: Collection) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#retry(async () => {
      const collection = await this.#collection(name);
      try {
        return await work(collection);
      } catch (error) {
        // It was deleted, perhaps with its database, and is created again under another id.
        if (!isMissing(error)) throw error;
        this.#collections.delete(name);
        return await work(await this.#collection(name));
      }
    }, signal);
  }

  /** Those of the ids that a collection has. */
  async known(name: string, ids: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    const known = new Set<string>();
    for (let at = 0; at < ids.length; at += idsAtATime) {
      const some = ids.slice(at, at + idsAtATime);
      const found = await this.call(name, (each) => each.get({ ids: some, include: [] }), signal);
      for (const id of found.ids) known.add(id);
    }
    return known;
  }

  /** Runs one request on a collection if it exists. Must be safe to repeat. */
  callExisting(name: string, work: (collection: Collection) => Promise<unknown>, signal?: AbortSignal) {
    return this.#retry(async () => {
      const client = await this.#connected();
      await unlessMissing(client.getCollection({ name }).then(work));
    }, signal);
  }

  /** The names of all collections that begin with a prefix. */
  collections(prefix: string, signal?: AbortSignal): Promise<string[]> {
    return this.#retry(async () => {
      const client = await this.#connected();
      const names: string[] = [];
      const pageSize = 100;
      for (;;) {
        const page = await client.listCollections({ limit: pageSize, offset: names.length });
        names.push(...page.map(({ name }) => name));
        if (page.length < pageSize) return names.filter((name) => name.startsWith(prefix));
      }
    }, signal);
  }

  /** Deletes a collection with everything in it, if it exists. */
  drop(name: string, signal?: AbortSignal): Promise<void> {
    return this.#retry(async () => {
      const client = await this.#connected();
      this.#collections.delete(name);
      await unlessMissing(client.deleteCollection({ name }));
    }, signal);
  }

  async #retry<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { clock, url } = this.#options;
    const delays = clock.now() < this.#outageUntil ? [] : retryDelaysMs;
    for (let attempt = 0; ; attempt++) {
      try {
        const result = await this.#inTime(work, signal);
        this.#outage.reset();
        this.#outageUntil = 0;
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        const delayMs = delays[attempt];
        if (!isPassing(error) || delayMs === undefined) {
          if (isPassing(error)) this.#outageUntil = clock.now() + this.#outage.next();
          throw explainChromaFailure(url, error);
        }
        await sleep(clock, delayMs * (0.5 + Math.random()), signal);
      }
    }
  }

  /** The client takes no signal and has no time-out: the caller stops waiting, the request goes on. */
  async #inTime<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { clock, timeoutMs, url } = this.#options;
    signal?.throwIfAborted();
    let timer: unknown;
    const late = new Promise<never>((_, reject) => {
      timer = clock.setTimeout(
        () => reject(new MemoryError(`Chroma at ${url} gave no answer within ${timeoutMs} ms.`)),
        timeoutMs,
      );
    });
    try {
      return await raceAbort(Promise.race([work(), late]), signal);
    } finally {
      clock.clearTimeout(timer);
    }
  }

  #collection(name: string): Promise<Collection> {
    let collection = this.#collections.get(name);
    if (!collection) {
      collection = this.#createCollection(name);
      this.#collections.set(name, collection);
      collection.catch(() => this.#collections.delete(name));
    }
    return collection;
  }

  async #createCollection(name: string): Promise<Collection> {
    const client = await this.#connected();
    const origin = this.#expected.get(name);
    const collection = await client.getOrCreateCollection({
      name,
      embeddingFunction: null,
      configuration: { hnsw: { space: 'cosine' } },
      ...(origin ? { metadata: { ...origin } } : {}),
    });
    if (origin) assertOrigin(collection, origin);
    return collection;
  }

  #connected(): Promise<ChromaClient> {
    this.#client ??= this.#connect().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #connect(): Promise<ChromaClient> {
    return this.#options.client ?? (await openClient(this.#options));
  }
}

const isMissing = (error: unknown): boolean => (error as Error).name === 'ChromaNotFoundError';

async function unlessMissing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** An existing collection keeps the metadata it was created with. One without any is accepted. */
function assertOrigin({ name, metadata, configuration }: Collection, origin: VectorOrigin): void {
  const model = metadata?.embedding_model ?? origin.embedding_model;
  const dimensions = metadata?.embedding_dimensions ?? origin.embedding_dimensions;
  if (model !== origin.embedding_model || dimensions !== origin.embedding_dimensions) {
    throw new MemoryError(
      `The Chroma collection ${name} holds vectors of ${model} with ${dimensions} numbers, but the embedder is ${origin.embedding_model} with ${origin.embedding_dimensions}. Use another collectionPrefix, or delete the collection.`,
    );
  }
  const space = configuration?.hnsw?.space ?? configuration?.spann?.space ?? 'cosine';
  if (space !== 'cosine') {
    throw new MemoryError(
      `The Chroma collection ${name} compares vectors by ${space}, not by cosine. Use another collectionPrefix, or delete the collection.`,
    );
  }
}
