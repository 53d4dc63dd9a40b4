import { onAbort } from '../../core/abort.js';
import type { KeyLease, LeaseRequest } from '../key-pool.js';

/** A call that waits for a key. */
export interface Waiter {
  readonly request: LeaseRequest;
  readonly tokens: number;
  /** When the call began, which decides its place within its tenant. */
  readonly since: number;
  readonly enqueuedAt: number;
  readonly deadline: number;
  grant(lease: KeyLease): void;
  reject(error: unknown): void;
}

/** What becomes of a waiter. */
interface WaiterActions {
  enqueue(waiter: Waiter): void;
  /** The caller has aborted. */
  leave(waiter: Waiter): void;
}

/** Queues one call. Rejects with the reason of the signal when it aborts. */
export function waitForLease(
  call: Omit<Waiter, 'grant' | 'reject'>,
  signal: AbortSignal | undefined,
  { enqueue, leave }: WaiterActions,
): Promise<KeyLease> {
  return new Promise((resolve, reject) => {
    const waiter: Waiter = {
      ...call,
      grant: (lease) => {
        unsubscribe();
        resolve(lease);
      },
      reject: (error) => {
        unsubscribe();
        reject(error);
      },
    };
    const unsubscribe = onAbort(signal, (reason) => {
      reject(reason);
      leave(waiter);
    });
    enqueue(waiter);
  });
}

type Priority = 'interactive' | 'batch';
const priorities = ['interactive', 'batch'] as const;

/** The tenant of calls that name none. */
export const defaultTenant = 'default';

const priorityOf = (waiter: Waiter): Priority => waiter.request.priority ?? 'interactive';
const tenantOf = (waiter: Waiter): string => waiter.request.tenant ?? defaultTenant;

/** Interactive before batch, tenants in rotation, first come first served within a tenant. */
export class WaitQueue {
  /** Per priority the waiters of each tenant; tenants are served in insertion order. */
  readonly #lines: Record<Priority, Map<string, Waiter[]>> = { interactive: new Map(), batch: new Map() };
  /** Waiters that no dispatch has judged yet. Whoever acts on the dispatch removes them. */
  readonly arrivals = new Set<Waiter>();
  #size = 0;
  #tokens = 0;
  /** Computed when it is asked for. */
  #earliestDeadline: number | undefined;

  get size(): number {
    return this.#size;
  }

  /** Mean tokens of the waiting calls. */
  get meanTokens(): number {
    return this.#size === 0 ? 0 : this.#tokens / this.#size;
  }

  get earliestDeadline(): number {
    if (this.#earliestDeadline === undefined) {
      this.#earliestDeadline = Number.POSITIVE_INFINITY;
      for (const { deadline } of this.#all())
        this.#earliestDeadline = Math.min(this.#earliestDeadline, deadline);
    }
    return this.#earliestDeadline;
  }

  push(waiter: Waiter): void {
    const lines = this.#lines[priorityOf(waiter)];
    const tenant = tenantOf(waiter);
    let line = lines.get(tenant);
    if (line === undefined) {
      line = [];
      lines.set(tenant, line);
    }
    let place = line.length;
    while (place > 0 && (line[place - 1]?.since ?? 0) > waiter.since) place -= 1;
    line.splice(place, 0, waiter);
    this.arrivals.add(waiter);
    this.#size += 1;
    this.#tokens += waiter.tokens;
    if (this.#earliestDeadline !== undefined)
      this.#earliestDeadline = Math.min(this.#earliestDeadline, waiter.deadline);
  }

  /** Removes a waiter that was not served. Returns whether it was queued. */
  remove(waiter: Waiter): boolean {
    const lines = this.#lines[priorityOf(waiter)];
    const line = lines.get(tenantOf(waiter));
    const place = line?.indexOf(waiter) ?? -1;
    if (line === undefined || place < 0) return false;
    line.splice(place, 1);
    this.arrivals.delete(waiter);
    if (line.length === 0) lines.delete(tenantOf(waiter));
    this.#size -= 1;
    this.#tokens -= waiter.tokens;
    if (waiter.deadline === this.#earliestDeadline) this.#earliestDeadline = undefined;
    return true;
  }

  /** Removes a waiter that is served: its tenant becomes the last in rotation. Returns whether it was queued. */
  take(waiter: Waiter): boolean {
    if (!this.remove(waiter)) return false;
    const lines = this.#lines[priorityOf(waiter)];
    const line = lines.get(tenantOf(waiter));
    if (line !== undefined) {
      lines.delete(tenantOf(waiter));
      lines.set(tenantOf(waiter), line);
    }
    return true;
  }

  /** Removes and returns all waiters, in the order of service. */
  drain(): readonly Waiter[] {
    const waiters = [...this.inServiceOrder()];
    for (const waiter of waiters) this.remove(waiter);
    return waiters;
  }

  /** How many calls wait in the backlog of this one: all batch calls, or the interactive ones of its tenant. */
  backlog(request: LeaseRequest): number {
    if (request.priority !== 'batch')
      return this.#lines.interactive.get(request.tenant ?? defaultTenant)?.length ?? 0;
    let waiting = 0;
    for (const line of this.#lines.batch.values()) waiting += line.length;
    return waiting;
  }

  /** Size of each backlog: of all batch calls, and of the interactive calls of each tenant. */
  backlogs(): readonly { readonly tenant?: string; readonly size: number }[] {
    let batch = 0;
    for (const line of this.#lines.batch.values()) batch += line.length;
    return [
      ...(batch > 0 ? [{ size: batch }] : []),
      ...[...this.#lines.interactive].map(([tenant, line]) => ({ tenant, size: line.length })),
    ];
  }

  /** How many calls would be served before a new one. */
  ahead(request: LeaseRequest, since: number): number {
    let ahead = 0;
    for (const priority of priorities) {
      const lines = this.#lines[priority];
      if (priority !== (request.priority ?? 'interactive')) {
        for (const line of lines.values()) ahead += line.length;
        continue;
      }
      const own = lines.get(request.tenant ?? defaultTenant) ?? [];
      let place = own.length;
      while (place > 0 && (own[place - 1]?.since ?? 0) > since) place -= 1;
      for (const line of lines.values()) ahead += line === own ? place : Math.min(line.length, place + 1);
      break;
    }
    return ahead;
  }

  /**
   * The waiter that gives way to a new call when the queue is full: the last one of the longest line of
   * the lowest priority. `undefined` if the new call would itself be that one.
   */
  victimFor(request: LeaseRequest): Waiter | undefined {
    const priority = this.#lines.batch.size > 0 ? 'batch' : 'interactive';
    if (priority === 'interactive' && request.priority === 'batch') return undefined;
    const lines = this.#lines[priority];
    let longest: Waiter[] = [];
    for (const line of lines.values()) if (line.length > longest.length) longest = line;
    if (priority === (request.priority ?? 'interactive')) {
      const own = lines.get(request.tenant ?? defaultTenant)?.length ?? 0;
      if (own + 1 >= longest.length) return undefined;
    }
    return longest.at(-1);
  }

  /**
   * The waiters in the order of service. The one yielded may be taken or removed; one that stays is not
   * yielded again.
   */
  *inServiceOrder(): Generator<Waiter, void, void> {
    for (const priority of priorities) {
      const lines = this.#lines[priority];
      let positions = [...lines.keys()].map((tenant) => ({ tenant, passed: 0 }));
      while (positions.length > 0) {
        const next: typeof positions = [];
        for (const position of positions) {
          const line = lines.get(position.tenant);
          const waiter = line?.[position.passed];
          if (waiter === undefined) continue;
          yield waiter;
          if (line?.[position.passed] === waiter) position.passed += 1;
          next.push(position);
        }
        positions = next;
      }
    }
  }

  /** The waiters whose deadline has passed. */
  expired(now: number): readonly Waiter[] {
    return [...this.#all()].filter(({ deadline }) => deadline <= now);
  }

  *#all(): Generator<Waiter, void, void> {
    for (const priority of priorities) for (const line of this.#lines[priority].values()) yield* line;
  }
}
