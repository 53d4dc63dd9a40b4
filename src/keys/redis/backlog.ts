import type { Clock } from '../../core/clock.js';
import type { LeaseRequest } from '../key-pool.js';
import { type ModelQueue, pacedBacklog } from '../scheduler/model-queue.js';
import { callsPerMinute } from './forecast.js';
import type { KeyMirror } from './key-mirror.js';
import type { LedgerIds } from './ledger-ids.js';
import type { PeerProcesses } from './peer-processes.js';

/** So many backlogs of each model the others are told of, the largest ones. */
const mostTold = 16;

/** Which calls belong to a backlog that is long in all processes together. */
export class Backlog {
  readonly #mirror: KeyMirror;
  readonly #peers: PeerProcesses;
  readonly #ids: LedgerIds;
  readonly #clock: Clock;

  constructor(mirror: KeyMirror, peers: PeerProcesses, ids: LedgerIds, clock: Clock) {
    this.#mirror = mirror;
    this.#peers = peers;
    this.#ids = ids;
    this.#clock = clock;
  }

  /**
   * Tells of each call for the model whether it is served evenly, so that others find quota when they come:
   * batch calls of a long backlog or while people ask anywhere, and the long backlog of one tenant beside
   * others.
   */
  isPaced(modelQueue: ModelQueue): (request: LeaseRequest) => boolean {
    const { model } = modelQueue;
    const isTold = (kind: 'people' | 'tenants') => this.#peers.backlog(this.#ids.askers(model, kind)) > 0;
    const peopleAsk = modelQueue.hasInteractiveDemand(this.#clock.now()) || isTold('people');
    const hasTenants = modelQueue.hasTenants || isTold('tenants');
    const isLong = this.#isLong(modelQueue);
    return (request) =>
      request.priority === 'batch' ? peopleAsk || isLong(request) : hasTenants && isLong(request);
  }

  /** Tells of each call for the model whether too many like it wait. */
  #isLong(modelQueue: ModelQueue): (request: LeaseRequest) => boolean {
    const { waiters: queue, model } = modelQueue;
    const elsewhere = new Map<string | undefined, number>();
    const longest = Math.max(1, this.#callsPerMinute(modelQueue) * pacedBacklog);
    return (request) => {
      const own = queue.backlog(request);
      if (!this.#peers.haveBacklogs) return own > longest;
      const tenant = request.priority === 'batch' ? undefined : (request.tenant ?? 'default');
      let others = elsewhere.get(tenant);
      if (others === undefined) {
        others = this.#peers.backlog(this.#ids.backlog(model, tenant));
        elsewhere.set(tenant, others);
      }
      return own + others > longest;
    };
  }

  /** Until when a call waits: in a long backlog the answer gets its time. */
  latestStart(modelQueue: ModelQueue, request: LeaseRequest, deadline: number, since: number): number {
    if (modelQueue.waiters.size === 0) return deadline;
    return this.#isLong(modelQueue)(request) ? modelQueue.startInTime(deadline, since) : deadline;
  }

  /** What the others have to know of the backlogs here, and of who asks. */
  describe(): readonly (readonly [id: string, size: number])[] {
    return [...this.#mirror.registry.modelQueues()].flatMap((modelQueue) => [
      ...this.#askersOf(modelQueue),
      ...modelQueue.waiters
        .backlogs()
        .filter(({ size }) => size > 1)
        .sort((a, b) => b.size - a.size)
        .slice(0, mostTold)
        .map(({ tenant, size }) => [this.#ids.backlog(modelQueue.model, tenant), size] as const),
    ]);
  }

  #askersOf(modelQueue: ModelQueue): readonly (readonly [id: string, size: number])[] {
    const people = modelQueue.hasInteractiveDemand(this.#clock.now()) ? (['people'] as const) : [];
    const tenants = modelQueue.hasTenants ? (['tenants'] as const) : [];
    return [...people, ...tenants].map((kind) => [this.#ids.askers(modelQueue.model, kind), 1]);
  }

  #callsPerMinute(modelQueue: ModelQueue): number {
    let admitted = 0;
    for (const quota of modelQueue.quotas) {
      if (quota.project.keys.length === 0) continue;
      const view = this.#mirror.seen(quota)?.view;
      if (view === undefined) return Number.POSITIVE_INFINITY;
      admitted += callsPerMinute(view, modelQueue.waiters.meanTokens);
    }
    return admitted;
  }
}
