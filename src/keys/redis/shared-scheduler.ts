import type { Clock } from '../../core/clock.js';
import type { PooledKey } from '../health/pooled-key.js';
import type { KeyEvent, LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { type DispatchActions, dispatch, expireWaiters } from '../scheduler/dispatch.js';
import type { KeyRegistry } from '../scheduler/key-registry.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { Grant } from '../scheduler/settlement.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import { WakeTimer } from '../scheduler/wake-timer.js';
import type { DocumentStore, LedgerDocument, LedgerUnavailable } from './document-store.js';
import type { Peers } from './peers.js';
import type { SharedState } from './shared-state.js';

/** Calls that are granted at once, so that the processes take turns. */
const batchSize = 32;
/** Poll interval while blocked on another process's calls or probes. */
const pollMs = 250;
/** Spreads the requests of processes that wait for the same slot. */
const jitterMs = 20;
/** Requests that no call waits for get this many times the timeout. */
const backgroundPatience = 10;

/** A change of the shared state. It is repeated on the state of another process if that was faster. */
export interface Change {
  readonly quota?: ProjectModelQuota | undefined;
  readonly run: (now: number) => readonly KeyEvent[];
  /** Whether it can wait for the next request, at the latest that of the heartbeat. */
  readonly isLazy?: boolean;
  /** Called once the change is in Redis. */
  readonly done?: (() => void) | undefined;
}

interface Step {
  readonly grants: { readonly waiter: Waiter; readonly grant: Grant }[];
  readonly refusals: { readonly waiter: Waiter; readonly error: Error }[];
  readonly events: KeyEvent[];
  readonly touched: Set<ProjectModelQuota>;
  /** Waiters that were judged for the first time. */
  readonly arrivals: Waiter[];
}

export interface SharedSchedulerDeps {
  /** Of the ledger. */
  readonly clock: Clock;
  readonly registry: KeyRegistry;
  readonly state: SharedState;
  readonly store: DocumentStore;
  readonly peers: Peers;
  readonly process: string;
  readonly random: () => number;
  readonly timeoutMs: number;
  readonly maxWaitMs: number;
  /** How many more calls may start in this process. */
  readonly spare: () => number;
  readonly emit: (event: KeyEvent) => void;
  readonly grant: (waiter: Waiter, grant: Grant) => void;
  /** The error of a call that cannot be served before `at`. */
  readonly refusal: (modelQueue: ModelQueue, waiter: Waiter, at: number | undefined) => Error;
  /** Gives back a grant whose caller has left. */
  readonly release: (grant: Grant) => void;
  readonly onUnavailable: (error: LedgerUnavailable) => void;
}

/**
 * Runs the scheduler of this process on the state of all processes: reads it, decides, and writes it if no
 * other process has changed it meanwhile, else starts again with what that process wrote.
 */
export class SharedScheduler {
  /** Whether Redis answers. */
  isActive = true;
  readonly #deps: SharedSchedulerDeps;
  readonly #changes = new Map<ModelQueue, Change[]>();
  readonly #due = new Set<ModelQueue>();
  /** Models for which nothing has happened in this process. */
  readonly #quiet = new Set<ModelQueue>();
  readonly #timer: WakeTimer;
  #running: Promise<void> | undefined;

  constructor(deps: SharedSchedulerDeps) {
    this.#deps = deps;
    this.#timer = new WakeTimer(deps.clock, () => this.wake());
  }

  /** Resolves when all changes are in Redis, or Redis cannot be used. */
  get idle(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  get queued(): number {
    let queued = 0;
    for (const { waiters } of this.#deps.registry.modelQueues()) queued += waiters.size;
    return queued;
  }

  /** Runs the change with the next request to Redis. */
  change(modelQueue: ModelQueue, change: Change): void {
    const changes = this.#changes.get(modelQueue);
    if (changes === undefined) this.#changes.set(modelQueue, [change]);
    else changes.push(change);
    if (change.isLazy !== true || modelQueue.waiters.size > 0) this.schedule(modelQueue);
  }

  /** Offers the waiting calls of a model. */
  schedule(modelQueue: ModelQueue): void {
    this.#quiet.delete(modelQueue);
    this.#due.add(modelQueue);
    this.#start();
  }

  /** Takes over what other processes wrote, and says that the calls of this one still run. */
  observe(all: boolean): void {
    for (const modelQueue of this.#deps.registry.modelQueues()) {
      const isBusy = modelQueue.quotas.some(({ ownInFlight }) => ownInFlight > 0);
      const isOfInterest = all || isBusy || modelQueue.waiters.size > 0 || this.#changes.has(modelQueue);
      if (!isOfInterest || this.#due.has(modelQueue)) continue;
      this.#quiet.add(modelQueue);
      this.#due.add(modelQueue);
    }
    this.#start();
  }

  #start(): void {
    if (!this.isActive || this.#due.size === 0) return;
    // Calls and outcomes of one moment share one request.
    this.#running ??= Promise.resolve()
      .then(() => this.#serve())
      .finally(() => {
        this.#running = undefined;
        this.#start();
      });
  }

  /** Offers all waiting calls, and writes all changes. */
  wake(): void {
    for (const modelQueue of this.#deps.registry.modelQueues())
      if (modelQueue.waiters.size > 0 || this.#changes.has(modelQueue)) this.schedule(modelQueue);
    this.#arm();
  }

  /** Removes and returns all waiting calls. */
  drain(): readonly { readonly modelQueue: ModelQueue; readonly waiter: Waiter }[] {
    const all = [...this.#deps.registry.modelQueues()].flatMap((modelQueue) =>
      [...modelQueue.waiters.inServiceOrder()].map((waiter) => ({ modelQueue, waiter })),
    );
    for (const { modelQueue, waiter } of all) modelQueue.waiters.remove(waiter);
    this.#arm();
    return all;
  }

  async #serve(): Promise<void> {
    try {
      for (const modelQueue of this.#due) {
        if (!this.isActive) return;
        this.#due.delete(modelQueue);
        await this.#transact(modelQueue);
      }
    } catch (error) {
      this.#deps.onUnavailable(error as LedgerUnavailable);
    }
    this.#arm();
  }

  async #transact(modelQueue: ModelQueue): Promise<void> {
    const { clock, peers, process, state, store, timeoutMs } = this.#deps;
    let isQuiet = this.#quiet.delete(modelQueue) && !this.#changes.has(modelQueue);
    for (;;) {
      const now = clock.now();
      state.refresh(modelQueue, now, peers.processes > 1 ? process : undefined);
      const changes = this.#changes.get(modelQueue) ?? [];
      const count = changes.length;
      const step = this.#decide(modelQueue, changes, isQuiet, now);
      const writes = new Map<LedgerDocument, ReadonlyMap<string, string>>([
        [state.keys, state.keyChanges()],
        [state.modelDocument(modelQueue), state.modelChanges(modelQueue, step.touched, now)],
      ]);
      const isAwaited = modelQueue.waiters.size > 0;
      const inDoubt: Change[] = [];
      try {
        const stale = await store.swap(writes, {
          timeoutMs: isAwaited ? timeoutMs : timeoutMs * backgroundPatience,
          onLate: (isSet) => this.#endLate(modelQueue, step, inDoubt, isSet),
        });
        if (stale.length === 0) {
          state.saved(modelQueue);
          this.#finish(modelQueue, step, this.#take(modelQueue, count));
          return;
        }
      } catch (error) {
        undo(step);
        state.load(modelQueue, step.touched, clock.now());
        inDoubt.push(...this.#take(modelQueue, count));
        throw error;
      }
      undo(step);
      state.load(modelQueue, step.touched, clock.now());
      isQuiet = false;
    }
  }

  /** Decides on the state at hand, as if nobody else had changed it. */
  #decide(modelQueue: ModelQueue, changes: readonly Change[], isQuiet: boolean, now: number): Step {
    const { maxWaitMs, peers, random, refusal, registry, spare, state } = this.#deps;
    const step: Step = { grants: [], refusals: [], events: [], touched: new Set(), arrivals: [] };
    for (const { quota, run } of changes) {
      step.events.push(...run(now));
      if (quota !== undefined) step.touched.add(quota.current);
    }
    if (isQuiet) return step;
    const graceUntil = state.graceUntil(modelQueue);
    if (graceUntil > now) {
      modelQueue.wakeAt = graceUntil;
      return step;
    }
    const most = Math.min(batchSize, spare());
    let pollAt = Number.POSITIVE_INFINITY;
    const actions: DispatchActions = {
      maxWaitMs,
      hasRoom: () => step.grants.length < most,
      projectOf: (request: LeaseRequest) => registry.projectName(request.project),
      grant: (waiter, quota, paced) => {
        const grant = enter(modelQueue, quota, waiter, paced, now);
        if (grant === undefined) return;
        step.touched.add(quota);
        step.grants.push({ waiter, grant });
      },
      hold: (quota, at, paced) => {
        const hasPeers = peers.processes > 1 || quota.othersInFlight > 0;
        if (at <= now && hasPeers) pollAt = now + pollMs;
        if (peers.processes === 1 || at === Number.POSITIVE_INFINITY) return;
        quota.claim(at, paced, now);
        step.touched.add(quota);
      },
      refuse: (waiter, at) => step.refusals.push({ waiter, error: refusal(modelQueue, waiter, at) }),
    };
    step.arrivals.push(...modelQueue.waiters.arrivals);
    expireWaiters(modelQueue, now, actions);
    dispatch(modelQueue, now, actions);
    const jitter = peers.processes > 1 ? random() * jitterMs : 0;
    modelQueue.wakeAt = Math.min(modelQueue.wakeAt + jitter, pollAt);
    return step;
  }

  /** The step is in Redis. */
  #finish(modelQueue: ModelQueue, step: Step, changes: readonly Change[]): void {
    const { emit, grant: grantTo, release } = this.#deps;
    const { arrivals, events, grants, refusals } = step;
    for (const waiter of arrivals) modelQueue.waiters.arrivals.delete(waiter);
    for (const { done } of changes) done?.();
    for (const event of events) emit(event);
    for (const { waiter, grant } of grants) {
      if (modelQueue.waiters.take(waiter)) grantTo(waiter, grant);
      else release(grant);
    }
    for (const { waiter, error } of refusals) {
      if (modelQueue.waiters.remove(waiter)) waiter.reject(error);
    }
    const isCutShort = grants.length === batchSize && this.#deps.spare() > 0;
    if (isCutShort && modelQueue.waiters.size > 0) this.#due.add(modelQueue);
  }

  /** A request that was given up has ended: what it granted is given back. */
  #endLate(modelQueue: ModelQueue, { grants }: Step, changes: Change[], isSet: boolean): void {
    if (!isSet) {
      for (const change of changes.splice(0)) this.change(modelQueue, change);
      return;
    }
    for (const { done } of changes.splice(0)) done?.();
    for (const { grant } of grants) {
      grant.quota.current.ownInFlight += 1;
      grant.key.inFlight += 1;
      this.#deps.release(grant);
    }
  }

  #take(modelQueue: ModelQueue, count: number): readonly Change[] {
    const changes = this.#changes.get(modelQueue) ?? [];
    const taken = changes.splice(0, count);
    if (changes.length === 0) this.#changes.delete(modelQueue);
    return taken;
  }

  #arm(): void {
    let wakeAt = Number.POSITIVE_INFINITY;
    if (this.isActive) {
      for (const { waiters, wakeAt: slotAt } of this.#deps.registry.modelQueues())
        if (waiters.size > 0) wakeAt = Math.min(wakeAt, slotAt, waiters.earliestDeadline);
    }
    this.#timer.set(wakeAt);
  }
}

function enter(
  modelQueue: ModelQueue,
  quota: ProjectModelQuota,
  { request, tokens }: Waiter,
  paced: boolean,
  now: number,
): Grant | undefined {
  const key: PooledKey | undefined = quota.project.pick(now);
  if (key === undefined) return undefined;
  const booking = quota.book(tokens, now, paced);
  for (const gate of [key.gate, quota.project.gate, modelQueue.breaker.gate]) gate.enter(now);
  quota.ownInFlight += 1;
  key.inFlight += 1;
  return { modelQueue, quota, key, booking, request, at: now };
}

function undo({ grants }: Step): void {
  for (const { grant } of grants) {
    grant.quota.current.ownInFlight -= 1;
    grant.key.inFlight -= 1;
  }
}
