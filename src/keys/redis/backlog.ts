import type { LeaseRequest } from '../key-pool.js';
import { type ModelQueue, pacedBacklog } from '../scheduler/model-queue.js';
import { defaultTenant } from '../scheduler/wait-queue.js';
import { callsPerMinute } from './forecast.js';
import type { LedgerIds } from './ledger-ids.js';
import type { PoolDeps } from './pool-deps.js';

/** Backlogs of each model that a process reports to the others, largest first. */
const mostReported = 16;

/** The backlogs of all processes together, and which calls are paced because of them. */
export class Backlog {
  readonly #deps: PoolDeps;
  readonly #ids: LedgerIds;

  constructor(deps: PoolDeps, ids: LedgerIds) {
    this.#deps = deps;
    this.#ids = ids;
  }

  /** The counterpart of `ModelQueue.isPaced`, for the calls in all processes. */
  isPaced(modelQueue: ModelQueue): (request: LeaseRequest) => boolean {
    const { clock, peers } = this.#deps;
    const isReported = (kind: 'people' | 'tenants') =>
      peers.backlog(this.#ids.demand(modelQueue.model, kind)) > 0;
    const isInteractive = modelQueue.hasInteractiveDemand(clock.now()) || isReported('people');
    const hasTenants = modelQueue.hasTenants || isReported('tenants');
    const isLong = this.#isLong(modelQueue);
    return (request) =>
      request.priority === 'batch' ? isInteractive || isLong(request) : hasTenants && isLong(request);
  }

  /** The counterpart of `ModelQueue.latestStart`, for the backlog in all processes. */
  latestStart(modelQueue: ModelQueue, request: LeaseRequest, deadline: number, since: number): number {
    if (modelQueue.waiters.size === 0) return deadline;
    return this.#isLong(modelQueue)(request) ? modelQueue.startInTime(deadline, since) : deadline;
  }

  /** The demand and the backlogs in this process, for the other ones. */
  describe(): readonly (readonly [id: string, size: number])[] {
    return [...this.#deps.mirror.registry.modelQueues()].flatMap((modelQueue) => [
      ...this.#describeDemand(modelQueue),
      ...modelQueue.waiters
        .backlogs()
        .filter(({ size }) => size > 1)
        .sort((a, b) => b.size - a.size)
        .slice(0, mostReported)
        .map(({ tenant, size }) => [this.#ids.backlog(modelQueue.model, tenant), size] as const),
    ]);
  }

  #isLong(modelQueue: ModelQueue): (request: LeaseRequest) => boolean {
    const { peers } = this.#deps;
    const { waiters, model } = modelQueue;
    const elsewhere = new Map<string | undefined, number>();
    const longest = Math.max(1, this.#callsPerMinute(modelQueue) * pacedBacklog);
    return (request) => {
      const own = waiters.backlog(request);
      if (!peers.haveBacklogs) return own > longest;
      const tenant = request.priority === 'batch' ? undefined : (request.tenant ?? defaultTenant);
      let others = elsewhere.get(tenant);
      if (others === undefined) {
        others = peers.backlog(this.#ids.backlog(model, tenant));
        elsewhere.set(tenant, others);
      }
      return own + others > longest;
    };
  }

  #describeDemand(modelQueue: ModelQueue): readonly (readonly [id: string, size: number])[] {
    const isInteractive = modelQueue.hasInteractiveDemand(this.#deps.clock.now());
    const people = isInteractive ? (['people'] as const) : [];
    const tenants = modelQueue.hasTenants ? (['tenants'] as const) : [];
    return [...people, ...tenants].map((kind) => [this.#ids.demand(modelQueue.model, kind), 1]);
  }

  #callsPerMinute(modelQueue: ModelQueue): number {
    let admitted = 0;
    for (const quota of modelQueue.quotas) {
      if (quota.project.keys.length === 0) continue;
      const view = this.#deps.mirror.seen(quota)?.view;
      if (view === undefined) return Number.POSITIVE_INFINITY;
      admitted += callsPerMinute(view, modelQueue.waiters.meanTokens);
    }
    return admitted;
  }
}
