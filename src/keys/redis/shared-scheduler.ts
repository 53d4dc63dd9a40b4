import { exponentialDelayMs } from '../../core/backoff.js';
import { sleep } from '../../core/clock.js';
import { countRunning, type Grant } from '../scheduler/grant.js';
import type { LeaseDesk } from '../scheduler/lease-desk.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import { WakeTimer } from '../scheduler/wake-timer.js';
import type { DocumentStore, LedgerUnavailable, SwapResult } from './document-store.js';
import type { Peers } from './peers.js';
import { beginStep, type Change, offer, type Step, undo } from './scheduler-step.js';
import type { SharedState } from './shared-state.js';

/** Calls that are granted at once, so that the processes take turns. */
const batchSize = 32;
/** Pauses while other processes have their turn to write, before the random part is taken. */
const turnPause = { initialMs: 20, maxMs: 500 };
/** Requests that no call waits for get this many times the timeout. */
export const backgroundPatience = 10;

export interface SharedSchedulerDeps {
  readonly desk: LeaseDesk;
  readonly state: SharedState;
  readonly store: DocumentStore;
  readonly peers: Peers;
  readonly process: string;
  readonly random: () => number;
  readonly timeoutMs: number;
  readonly maxWaitMs: number;
  /** Calls that may run at once in this process. */
  readonly maxInFlight: number;
  readonly onUnavailable: (error: LedgerUnavailable) => void;
}

/**
 * Runs the scheduler of this process on the state of all processes: reads it, decides, and writes it if no
 * other process has changed it meanwhile, else starts again with what that process wrote. Without Redis it
 * decides alone, on this process's part of each quota, and keeps the changes until Redis answers again.
 */
export class SharedScheduler {
  readonly #deps: SharedSchedulerDeps;
  #mode: 'shared' | 'alone' | 'stopped' = 'shared';
  readonly #changes = new Map<ModelQueue, Change[]>();
  readonly #due = new Set<ModelQueue>();
  /** Models for which nothing has happened in this process. */
  readonly #quiet = new Set<ModelQueue>();
  /** Changes that were made without Redis, to be made once more when it answers again. */
  readonly #kept = new Map<ModelQueue, Change[]>();
  /** What was granted without Redis, and so is charged to the part of this process. */
  #grantedAlone = new WeakSet<Grant>();
  readonly #timer: WakeTimer;
  #running: Promise<void> | undefined;

  constructor(deps: SharedSchedulerDeps) {
    this.#deps = deps;
    this.#timer = new WakeTimer(deps.desk.clock, () => this.wake());
  }

  /** Resolves when all changes are in Redis, or Redis cannot be used. */
  get idle(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  /** Runs the change with the next request to Redis. */
  change(modelQueue: ModelQueue, change: Change): void {
    this.#changesOf(modelQueue).push(change);
    if (change.isLazy !== true || modelQueue.waiters.size > 0) this.schedule(modelQueue);
    // Calls to other models may have waited for the same key or project, or for room in this process.
    if (change.isLazy !== true || this.#spare() === 1) this.wake();
  }

  /** Offers the waiting calls of a model. */
  schedule(modelQueue: ModelQueue): void {
    this.#quiet.delete(modelQueue);
    this.#due.add(modelQueue);
    this.#start();
  }

  /** Takes over what other processes wrote, and says that the calls of this one still run. */
  observe(all: boolean): void {
    for (const modelQueue of this.#deps.desk.registry.modelQueues()) {
      const isBusy = modelQueue.quotas.some(({ ownInFlight }) => ownInFlight > 0);
      const isOfInterest =
        all || isBusy || modelQueue.waiters.size > 0 || this.#changesOf(modelQueue).length > 0;
      if (!isOfInterest || this.#due.has(modelQueue)) continue;
      this.#quiet.add(modelQueue);
      this.#due.add(modelQueue);
    }
    this.#start();
  }

  /** Redis does not answer. The waiting calls get what this process may use alone, if it may. */
  leave(mayServe: boolean): void {
    this.#mode = mayServe ? 'alone' : 'stopped';
    for (const { waiters } of this.#deps.desk.registry.modelQueues())
      for (const waiter of waiters.inServiceOrder()) waiters.arrivals.add(waiter);
    if (mayServe) this.wake();
  }

  /** Redis answers again. The changes made without it are made once more, on the state of all processes. */
  join(): void {
    const { desk, state } = this.#deps;
    this.#mode = 'shared';
    this.#grantedAlone = new WeakSet();
    for (const modelQueue of desk.registry.modelQueues()) {
      for (const quota of modelQueue.quotas) quota.limits.processes = 1;
      state.load(modelQueue, new Set(modelQueue.quotas), desk.clock.now());
      const kept = this.#kept.get(modelQueue) ?? [];
      this.#changes.set(modelQueue, kept.concat(this.#changesOf(modelQueue)));
    }
    this.#kept.clear();
    this.wake();
  }

  #start(): void {
    if (this.#mode === 'stopped' || this.#due.size === 0) return;
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
    const { clock, leases, registry } = this.#deps.desk;
    leases.reclaim(clock.now());
    for (const modelQueue of registry.modelQueues())
      if (modelQueue.waiters.size > 0 || this.#changesOf(modelQueue).length > 0) this.schedule(modelQueue);
    this.#arm();
  }

  /** Removes and returns all waiting calls. */
  drain(): readonly Waiter[] {
    const all = [...this.#deps.desk.registry.modelQueues()].flatMap(({ waiters }) => waiters.drain());
    this.#arm();
    return all;
  }

  async #serve(): Promise<void> {
    try {
      for (const modelQueue of this.#due) {
        if (this.#mode === 'stopped') return;
        this.#due.delete(modelQueue);
        if (this.#mode === 'alone') this.#serveAlone(modelQueue);
        else await this.#transact(modelQueue);
      }
    } catch (error) {
      this.#deps.onUnavailable(error as LedgerUnavailable);
    }
    this.#arm();
  }

  #serveAlone(modelQueue: ModelQueue): void {
    const { desk, peers, state } = this.#deps;
    const now = desk.clock.now();
    state.share(modelQueue, peers.processes, now);
    // The others concern calls that are not charged to the part of this process.
    const isOwn = ({ grant }: Change) => grant !== undefined && this.#grantedAlone.has(grant);
    const changes = this.#changesOf(modelQueue);
    const own = changes.filter(isOwn);
    if (own.length > 0)
      this.#changes.set(
        modelQueue,
        changes.filter((change) => !isOwn(change)),
      );
    const step = beginStep(modelQueue, own, now);
    this.#offer(step, modelQueue, now);
    const kept = this.#kept.get(modelQueue) ?? [];
    this.#kept.set(modelQueue, kept);
    for (const change of own) kept.push({ ...change, isMade: true });
    for (const { grant } of step.grants) {
      this.#grantedAlone.add(grant);
      const run = (later: number) => {
        grant.quota.current.bookEarlier(grant.booking, later);
        return [];
      };
      kept.push({ grant, isMade: true, run });
    }
    this.#finish(modelQueue, step, []);
  }

  async #transact(modelQueue: ModelQueue): Promise<void> {
    const { desk, peers, process, state, store, timeoutMs } = this.#deps;
    const changes = this.#changesOf(modelQueue);
    let isQuiet = this.#quiet.delete(modelQueue) && changes.length === 0;
    for (let attempt = 1; ; attempt += 1) {
      const now = desk.clock.now();
      state.refresh(modelQueue, now, peers.processes > 1 ? process : undefined);
      const count = changes.length;
      const step = beginStep(modelQueue, changes, now);
      const graceUntil = state.graceUntil(modelQueue);
      if (graceUntil > now) modelQueue.wakeAt = graceUntil;
      else if (!isQuiet) this.#offer(step, modelQueue, now);
      const isAwaited = modelQueue.waiters.size > 0;
      const inDoubt: Change[] = [];
      let result: SwapResult | undefined;
      try {
        result = await store.swap(state.writes(modelQueue, step.touched, now), {
          timeoutMs: isAwaited ? timeoutMs : timeoutMs * backgroundPatience,
          onLate: (isLateSet) => this.#endLate(modelQueue, step, inDoubt, isLateSet),
        });
      } catch (error) {
        inDoubt.push(...changes.splice(0, count));
        throw error;
      } finally {
        if (result !== 'set') {
          undo(step);
          state.load(modelQueue, step.touched, desk.clock.now());
        }
      }
      if (result === 'set') {
        state.saved(modelQueue);
        this.#finish(modelQueue, step, changes.splice(0, count));
        return;
      }
      if (result === 'busy') await this.waitForTurn(attempt);
      isQuiet = false;
    }
  }

  /** Resolves when the process whose turn it is has probably written. */
  waitForTurn(attempt: number): Promise<void> {
    const { desk, random } = this.#deps;
    return sleep(desk.clock, random() * exponentialDelayMs(attempt, turnPause));
  }

  #offer(step: Step, modelQueue: ModelQueue, now: number): void {
    const { peers } = this.#deps;
    const mostGrants = Math.min(batchSize, this.#spare());
    offer(step, modelQueue, now, { ...this.#deps, processes: peers.processes, mostGrants });
  }

  /** How many more calls may start in this process. */
  #spare(): number {
    return this.#deps.maxInFlight - this.#deps.desk.leases.size;
  }

  /** The step is in Redis. */
  #finish(modelQueue: ModelQueue, step: Step, changes: readonly Change[]): void {
    const { desk } = this.#deps;
    const { arrivals, events, grants, refusals } = step;
    for (const waiter of arrivals) modelQueue.waiters.arrivals.delete(waiter);
    for (const { done } of changes) done?.();
    for (const event of events) desk.events.report(event);
    for (const { waiter, grant } of grants) {
      if (modelQueue.waiters.take(waiter)) waiter.grant(desk.lease(grant, waiter));
      else desk.release(grant);
    }
    for (const { waiter, error } of refusals) {
      if (modelQueue.waiters.remove(waiter)) waiter.reject(error);
    }
    const isCutShort = grants.length === batchSize && this.#spare() > 0;
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
      countRunning(grant.quota.current, grant.key, 1);
      this.#deps.desk.release(grant);
    }
  }

  #changesOf(modelQueue: ModelQueue): Change[] {
    let changes = this.#changes.get(modelQueue);
    if (changes === undefined) {
      changes = [];
      this.#changes.set(modelQueue, changes);
    }
    return changes;
  }

  #arm(): void {
    let wakeAt = Number.POSITIVE_INFINITY;
    if (this.#mode !== 'stopped') {
      const { leases, registry } = this.#deps.desk;
      for (const { waiters, wakeAt: slotAt } of registry.modelQueues())
        if (waiters.size > 0) wakeAt = Math.min(wakeAt, slotAt, waiters.earliestDeadline, leases.earliest);
    }
    this.#timer.set(wakeAt);
  }
}
