import type { LeaseRequest } from '../key-pool.js';
import type { ModelQueue, PeerDemand } from '../scheduler/model-queue.js';
import { defaultTenant } from '../scheduler/wait-queue.js';
import { LedgerDocument, type LedgerTime } from './document-store.js';
import type { LedgerIds } from './ledger-ids.js';

/** Backlogs of each model that a process reports to the others, largest first. */
const mostReported = 16;
/** A process without heartbeat for this long counts as dead. */
const processTtlMs = 10_000;

/** What a process reports of itself with each heartbeat. */
interface Report extends LedgerTime {
  readonly queued: number;
  /** Demand and backlogs, by their ids. */
  readonly sizes: Readonly<Record<string, number>>;
}

/** The processes that use the same ledger, by their last heartbeats. */
export class Peers implements PeerDemand {
  readonly document: LedgerDocument;
  readonly #ids: LedgerIds;
  readonly #process: string;
  /** Live processes, this one included. */
  processes: number;
  #queuedElsewhere = 0;
  #sizes = new Map<string, number>();

  constructor(prefix: string, ids: LedgerIds, process: string, expectedProcesses: number) {
    this.document = new LedgerDocument(`{${prefix}}:processes`);
    this.#ids = ids;
    this.#process = process;
    this.processes = expectedProcesses;
  }

  backlog(model: string, { priority, tenant = defaultTenant }: LeaseRequest): number {
    if (this.#sizes.size === 0) return 0;
    return this.#sizes.get(this.#ids.backlog(model, priority === 'batch' ? undefined : tenant)) ?? 0;
  }

  demands(model: string, kind: 'people' | 'tenants'): boolean {
    return this.#sizes.has(this.#ids.demand(model, kind));
  }

  everywhere(own: number): number {
    return own + Math.min(this.#queuedElsewhere, own * (this.processes - 1));
  }

  /** The heartbeat of this process, and the removal of dead ones. */
  report(modelQueues: Iterable<ModelQueue>, now: number, aheadOfDateMs: number): ReadonlyMap<string, string> {
    const sizes: Record<string, number> = {};
    let queued = 0;
    for (const modelQueue of modelQueues) {
      const { model, waiters } = modelQueue;
      queued += waiters.size;
      for (const kind of modelQueue.ownDemand(now)) sizes[this.#ids.demand(model, kind)] = 1;
      const longest = waiters.backlogs().filter(({ size }) => size > 1);
      for (const { tenant, size } of longest.sort((a, b) => b.size - a.size).slice(0, mostReported))
        sizes[this.#ids.backlog(model, tenant)] = size;
    }
    const report: Report = { at: now, queued, sizes, aheadOfDateMs };
    const changes = new Map([[this.#process, JSON.stringify(report)]]);
    for (const [process, { at }] of this.#reports()) if (now - at > processTtlMs) changes.set(process, '');
    return changes;
  }

  /** The latest report of another process. */
  latest(): LedgerTime | undefined {
    let latest: Report | undefined;
    for (const [process, report] of this.#reports())
      if (process !== this.#process && report.at > (latest?.at ?? 0)) latest = report;
    return latest;
  }

  /** Takes over what the other processes reported. */
  update(now: number): void {
    this.#sizes = new Map();
    this.#queuedElsewhere = 0;
    this.processes = 1;
    for (const [process, { at, queued, sizes }] of this.#reports()) {
      if (process === this.#process || now - at > processTtlMs) continue;
      this.processes += 1;
      this.#queuedElsewhere += queued;
      for (const [id, size] of Object.entries(sizes)) this.#sizes.set(id, (this.#sizes.get(id) ?? 0) + size);
    }
  }

  /** Without Redis only the calls of this process count. The number of processes stays. */
  leave(): void {
    this.#sizes.clear();
    this.#queuedElsewhere = 0;
  }

  *#reports(): Generator<readonly [process: string, report: Report]> {
    for (const [process, text] of this.document.fields) yield [process, JSON.parse(text) as Report];
  }
}
