import type { Clock } from '../../core/clock.js';
import type { PooledKey } from '../health/pooled-key.js';
import type { KeyLease, LeaseOutcome } from '../key-pool.js';
import { lostLease, OpenLeases } from '../scheduler/open-leases.js';
import type { KeyMirror, SharedGrant } from './key-mirror.js';
import type { SettleRequest } from './ledger-view.js';

/** The leases of this process that are out. */
export class SharedLeases {
  readonly #open = new OpenLeases();
  readonly #mirror: KeyMirror;
  readonly #clock: Clock;
  readonly #maxLeaseMs: number;
  readonly #settled: (grant: SharedGrant, request: SettleRequest) => void;
  #current: PooledKey | undefined;

  /** @param settled Called when a call has ended. */
  constructor(
    mirror: KeyMirror,
    clock: Clock,
    maxLeaseMs: number,
    settled: (grant: SharedGrant, request: SettleRequest) => void,
  ) {
    this.#mirror = mirror;
    this.#clock = clock;
    this.#maxLeaseMs = maxLeaseMs;
    this.#settled = settled;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The key of the latest lease. */
  get current(): PooledKey | undefined {
    return this.#current;
  }

  /** @param local The lease of the local share behind this one, if there is one. */
  lease(grant: SharedGrant, deadline: number, local?: KeyLease): KeyLease {
    this.#current = grant.key;
    const end = (outcome: LeaseOutcome) => {
      const request = this.#mirror.settle(grant, outcome, this.#clock.now());
      local?.settle(outcome);
      this.#settled(grant, request);
    };
    const open = {
      expiresAt: Math.max(this.#clock.now(), deadline) + this.#maxLeaseMs,
      reclaim: () => end(lostLease),
    };
    this.#open.add(open);
    return {
      key: grant.key.leased,
      settle: (outcome) => {
        if (this.#open.delete(open)) end(outcome);
      },
    };
  }

  /** Reclaims the leases that have expired. */
  reclaim(): void {
    this.#open.reclaim(this.#clock.now());
  }
}
