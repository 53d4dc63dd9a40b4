import type { KeyLease, LeaseRequest } from '../key-pool.js';

/** A call that waits for its turn. */
export interface Waiter {
  readonly request: LeaseRequest;
  readonly tokens: number;
  /** When the call began; it keeps its place by this when it asks again. */
  readonly since: number;
  readonly enqueuedAt: number;
  readonly deadline: number;
  grant(lease: KeyLease): void;
  reject(error: unknown): void;
}

type Priority = 'interactive' | 'batch';
const priorities = ['interactive', 'batch'] as const;

/** Who asks when a call does not say. */
export const defaultTenant = 'default';

const priorityOf = (waiter: Waiter): Priority => waiter.request.priority ?? 'interactive';
const tenantOf = (waiter: Waiter): string => waiter.request.tenant ?? defaultTenant;

/**
 * Who is next: interactive before batch, tenants in turn, first come first served within a tenant.
 */
export class WaitQueue {
  /** Per priority the tenants in the order of their turns; insertion order is the ring. */
  readonly #rings: Record<Priority, Map<string, Waiter[]>> = { interactive: new Map(), batch: new Map() };
  #size = 0;
  #tokens = 0;
  /** No waiter's deadline is earlier. */
  #earliestDeadline = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#size;
  }

  /** Mean tokens of what waits. */
  get meanTokens(): number {
    return this.#size === 0 ? 0 : this.#tokens / this.#size;
  }

  get earliestDeadline(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#earliestDeadline;
  }

  push(waiter: Waiter): void {
    const ring = this.#rings[priorityOf(waiter)];
    const tenant = tenantOf(waiter);
    let line = ring.get(tenant);
    if (line === undefined) {
      line = [];
      ring.set(tenant, line);
    }
    let place = line.length;
    while (place > 0 && (line[place - 1]?.since ?? 0) > waiter.since) place -= 1;
    line.splice(place, 0, waiter);
    this.#size += 1;
    this.#tokens += waiter.tokens;
    this.#earliestDeadline = Math.min(this.#earliestDeadline, waiter.deadline);
  }

  /** Takes a waiter out without its having had its turn. Returns whether it was there. */
  remove(waiter: Waiter): boolean {
    const ring = this.#rings[priorityOf(waiter)];
    const line = ring.get(tenantOf(waiter));
    const place = line?.indexOf(waiter) ?? -1;
    if (line === undefined || place < 0) return false;
    line.splice(place, 1);
    if (line.length === 0) ring.delete(tenantOf(waiter));
    this.#size -= 1;
    this.#tokens -= waiter.tokens;
    return true;
  }

  /** Takes a waiter out that had its turn: its tenant goes to the back of the ring. */
  take(waiter: Waiter): boolean {
    if (!this.remove(waiter)) return false;
    const ring = this.#rings[priorityOf(waiter)];
    const line = ring.get(tenantOf(waiter));
    if (line !== undefined) {
      ring.delete(tenantOf(waiter));
      ring.set(tenantOf(waiter), line);
    }
    return true;
  }

  /** How many calls wait that have no better claim than this one: all batch calls, or those of its tenant. */
  backlog(request: LeaseRequest): number {
    if (request.priority !== 'batch')
      return this.#rings.interactive.get(request.tenant ?? defaultTenant)?.length ?? 0;
    let waiting = 0;
    for (const line of this.#rings.batch.values()) waiting += line.length;
    return waiting;
  }

  /** How many calls wait in each backlog: in that of all batch calls, and in that of each tenant's other ones. */
  backlogs(): readonly { readonly tenant?: string; readonly size: number }[] {
    let batch = 0;
    for (const line of this.#rings.batch.values()) batch += line.length;
    return [
      ...(batch > 0 ? [{ size: batch }] : []),
      ...[...this.#rings.interactive].map(([tenant, line]) => ({ tenant, size: line.length })),
    ];
  }

  /** How many calls are served before one that would be pushed now. */
  ahead(request: LeaseRequest, since: number): number {
    let ahead = 0;
    for (const priority of priorities) {
      const ring = this.#rings[priority];
      if (priority !== (request.priority ?? 'interactive')) {
        for (const line of ring.values()) ahead += line.length;
        continue;
      }
      const own = ring.get(request.tenant ?? defaultTenant) ?? [];
      let place = own.length;
      while (place > 0 && (own[place - 1]?.since ?? 0) > since) place -= 1;
      for (const line of ring.values()) ahead += line === own ? place : Math.min(line.length, place + 1);
      break;
    }
    return ahead;
  }

  /**
   * Who gives way to a call that finds the queue full: the last one of the longest line of the lowest
   * priority, unless the call itself would be that one.
   */
  victimFor(request: LeaseRequest): Waiter | undefined {
    const priority = this.#rings.batch.size > 0 ? 'batch' : 'interactive';
    if (priority === 'interactive' && request.priority === 'batch') return undefined;
    const ring = this.#rings[priority];
    let longest: Waiter[] = [];
    for (const line of ring.values()) if (line.length > longest.length) longest = line;
    if (priority === (request.priority ?? 'interactive')) {
      const own = ring.get(request.tenant ?? defaultTenant)?.length ?? 0;
      if (own + 1 >= longest.length) return undefined;
    }
    return longest.at(-1);
  }

  /**
   * The waiters in the order of their turns. The one yielded may be taken or removed; what stays is
   * not offered again.
   */
  *inServiceOrder(): Generator<Waiter, void, void> {
    for (const priority of priorities) {
      const ring = this.#rings[priority];
      let turns = [...ring.keys()].map((tenant) => ({ tenant, passed: 0 }));
      while (turns.length > 0) {
        const next: typeof turns = [];
        for (const turn of turns) {
          const line = ring.get(turn.tenant);
          const waiter = line?.[turn.passed];
          if (waiter === undefined) continue;
          yield waiter;
          if (line?.[turn.passed] === waiter) turn.passed += 1;
          next.push(turn);
        }
        turns = next;
      }
    }
  }

  /** Everyone whose deadline has come. */
  expired(now: number): readonly Waiter[] {
    const expired: Waiter[] = [];
    this.#earliestDeadline = Number.POSITIVE_INFINITY;
    for (const priority of priorities) {
      for (const line of this.#rings[priority].values()) {
        for (const waiter of line) {
          if (waiter.deadline <= now) expired.push(waiter);
          else this.#earliestDeadline = Math.min(this.#earliestDeadline, waiter.deadline);
        }
      }
    }
    return expired;
  }
}
