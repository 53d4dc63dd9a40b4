import { type AbortOptions, raceAbort } from '../../core/abort.js';
import { type Clock, systemClock, wallTime } from '../../core/clock.js';
import { ClosedError } from '../../core/errors.js';
import { parseOptions } from '../../core/parse-options.js';
import type {
  KeyEvent,
  KeyLease,
  KeyPool,
  KeyPoolStats,
  KeyProbe,
  LeaseOutcome,
  LeaseRequest,
} from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { Grant } from '../scheduler/grant.js';
import { consumerNumber } from '../scheduler/key-registry.js';
import { type Dispatcher, LeaseDesk } from '../scheduler/lease-desk.js';
import { DocumentStore, type LedgerUnavailable } from './document-store.js';
import { LedgerIds } from './ledger-ids.js';
import { LedgerLink } from './ledger-link.js';
import { Peers } from './peers.js';
import { type RedisKeyPoolOptions, redisKeyPoolOptionsSchema } from './redis-key-pool-options.js';
import { SharedScheduler } from './shared-scheduler.js';
import { SharedState } from './shared-state.js';

/**
 * Schedules calls over keys like {@link index!ScheduledKeyPool | ScheduledKeyPool}, but keeps quotas,
 * learned limits and blocks in Redis, so that any number of processes together use each quota to the full
 * and never exceed it. While Redis does not answer, every process uses its share of the limits, and writes
 * its use back when Redis answers again. Counts of calls by key are of this process; windows, limits and
 * states are of all.
 *
 * Redis holds no API key: names are HMACs. One hash tag keeps everything on one node of a cluster.
 *
 * @example
 * ```ts
 * import { createClient } from 'redis';
 * import { keysFromEnv, MultimodalChat } from 'multimodal-chat';
 * import { RedisKeyPool } from 'multimodal-chat/redis';
 *
 * const client = await createClient({ url: process.env.REDIS_URL }).connect();
 * const keyPool = new RedisKeyPool({ client, keys: keysFromEnv(), limits: [{ rpm: 10, tpm: 250_000 }] });
 * const chat = new MultimodalChat({ keyPool });
 * ```
 */
export class RedisKeyPool implements KeyPool {
  readonly #desk: LeaseDesk;
  readonly #ids: LedgerIds;
  readonly #store: DocumentStore;
  readonly #scheduler: SharedScheduler;
  readonly #link: LedgerLink;
  #contact: Promise<void> | undefined;
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong or unknown. */
  constructor(options: RedisKeyPoolOptions) {
    const parsed = parseOptions(redisKeyPoolOptionsSchema, options, 'RedisKeyPool');
    const { client, clock: own = systemClock, prefix } = parsed;
    const process = Math.random().toString(36).slice(2, 12);
    const store = new DocumentStore(client, own, process, parsed.clock !== undefined);
    const clock: Clock = {
      now: () => own.now() + (store.offsetMs ?? 0),
      wallTime: () => wallTime(own),
      setTimeout: (callback, delayMs, timer) => own.setTimeout(callback, delayMs, timer),
      clearTimeout: (handle) => own.clearTimeout(handle),
    };
    // The processes must agree on the day of a quota, also if the date of one is wrong.
    const date = { ...clock, wallTime: () => clock.now() - store.aheadOfDateMs };
    const ids = new LedgerIds(parsed.secret);
    const peers = new Peers(prefix, ids, process, parsed.expectedProcesses);
    const dispatcher: Dispatcher = {
      wake: () => this.#scheduler.wake(),
      enqueue: (modelQueue, waiter) => this.#link.push(modelQueue, waiter),
      leave: ({ waiters }, waiter) => {
        waiters.remove(waiter);
        this.#scheduler.wake();
      },
      settle: (grant, outcome) => this.#settle(grant, outcome),
      change: (model, run) => this.#change(model, run),
    };
    const desk = new LeaseDesk(parsed, dispatcher, clock, date, peers);
    this.#desk = desk;
    this.#ids = ids;
    this.#store = store;
    const state = new SharedState({
      ids,
      prefix,
      process,
      registry: desk.registry,
      leaseMs: parsed.reservationTtlMs,
    });
    const shared = { ...parsed, desk, store, peers };
    const onUnavailable = (error: LedgerUnavailable) => this.#link.onUnavailable(error);
    this.#scheduler = new SharedScheduler({ ...shared, state, process, onUnavailable });
    this.#link = new LedgerLink({ ...shared, scheduler: this.#scheduler });
  }

  async acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('key pool');
    // The time of Redis, by which deadlines are compared, and the demand in other processes.
    this.#contact ??= this.#link.observe();
    await raceAbort(this.#contact, signal);
    if (this.#isClosed) throw new ClosedError('key pool');
    const now = this.#desk.clock.now();
    const offsetMs = this.#store.offsetMs ?? 0;
    const deadline = request.deadline === undefined ? undefined : request.deadline + offsetMs;
    const since = request.since === undefined ? now : request.since + offsetMs;
    return this.#desk.wait(this.#desk.prepare({ ...request, deadline }, now), since, now, signal);
  }

  async stats(): Promise<KeyPoolStats> {
    await this.#link.observe();
    return this.#desk.stats();
  }

  secrets(): readonly string[] {
    return this.#desk.registry.secrets();
  }

  onEvent(listener: (event: KeyEvent) => void): () => void {
    return this.#desk.events.subscribe(listener);
  }

  useProbe(probe: KeyProbe): () => void {
    return this.#desk.prober.use(probe);
  }

  /**
   * Adds keys in this process while calls run. Keys that the pool already has stay as they are.
   *
   * @throws ConfigurationError if a key is not valid.
   */
  addKeys(keys: readonly KeySpec[]): void {
    this.#desk.addKeys(keys);
  }

  /** Removes the key with this masked id in this process. Its calls in flight may finish. Returns whether the pool had it. */
  removeKey(id: string): boolean {
    return this.#desk.removeKey(id);
  }

  /** Rejects waiting calls. Resolves once the ended calls are reported to Redis. Leaves the client open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#desk.prober.close();
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #settle(grant: Grant, given: LeaseOutcome): void {
    const outcome = this.#hideProject(given);
    const observation = this.#desk.settlement.observe(grant, outcome, this.#desk.clock.now());
    this.#scheduler.change(grant.modelQueue, {
      grant,
      isLazy: outcome.ok && isHealthy(grant),
      run: (now) => this.#desk.settlement.apply(grant, outcome, observation, now),
    });
  }

  #change(model: string | undefined, run: (now: number) => readonly KeyEvent[]): Promise<void> {
    const name = model ?? [...this.#desk.registry.modelQueues()][0]?.model ?? '';
    return new Promise((done) => {
      this.#scheduler.change(this.#desk.registry.modelQueue(name), { run, done });
    });
  }

  /** Processes compare projects by digests of their numbers, so that Redis holds no number. */
  #hideProject(outcome: LeaseOutcome): LeaseOutcome {
    if (outcome.ok || outcome.failure.project === undefined) return outcome;
    const project = this.#ids.consumer(consumerNumber(outcome.failure.project));
    return { ...outcome, failure: { ...outcome.failure, project } };
  }
}

/** Whether there is nothing that the other processes should know at once. */
function isHealthy({ key, modelQueue, quota }: Grant): boolean {
  const { gate, project } = quota.current;
  return [key.gate, gate, project.gate, modelQueue.breaker.gate].every((each) => each.isHealthy);
}
