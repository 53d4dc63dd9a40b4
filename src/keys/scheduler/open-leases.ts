import type { LeaseOutcome } from '../key-pool.js';

/** A lease that was granted and not settled. */
export interface OpenLease {
  /** When it counts as lost. */
  readonly expiresAt: number;
  reclaim(): void;
}

/** The leases that are out. Reclaims those that are never settled. */
export class OpenLeases {
  readonly #leases = new Set<OpenLease>();
  /** No lease expires earlier. */
  #earliest = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#leases.size;
  }

  /** When the next lease may expire; `Infinity` when none is out. */
  get earliest(): number {
    return this.#leases.size === 0 ? Number.POSITIVE_INFINITY : this.#earliest;
  }

  add(lease: OpenLease): void {
    this.#earliest = Math.min(this.earliest, lease.expiresAt);
    this.#leases.add(lease);
  }

  /** Returns whether the lease was still out. */
  delete(lease: OpenLease): boolean {
    return this.#leases.delete(lease);
  }

  /** Reclaims the leases that have expired. */
  reclaim(now: number): void {
    if (this.earliest > now) return;
    const expired = [...this.#leases].filter((lease) => lease.expiresAt <= now);
    for (const lease of expired) this.#leases.delete(lease);
    this.#earliest = Number.POSITIVE_INFINITY;
    for (const lease of this.#leases) this.#earliest = Math.min(this.#earliest, lease.expiresAt);
    // Last, because settling one looks for expired leases again.
    for (const lease of expired) lease.reclaim();
  }
}

/** The outcome of a lost lease. Its call was most likely sent. */
export const lostLease: LeaseOutcome = {
  ok: false,
  sent: true,
  failure: { kind: 'incomplete', scope: 'call', message: 'The lease was never settled.' },
};

export const unusedLease: LeaseOutcome = {
  ok: false,
  sent: false,
  failure: { kind: 'network', scope: 'call', message: 'The caller left before the call was made.' },
};
