import type { CallOptions, Failure, Usage } from '../types.js';

/** What a call needs from the pool. */
export interface KeyNeed {
  readonly model: string;
  /** Expected input tokens; they are reserved until the lease is settled. */
  readonly estimatedTokens: number;
  /** Only keys of this project may serve, because the request names a resource that it owns. */
  readonly project?: string | undefined;
  /** Who asks; tenants take turns. Default `default`. */
  readonly tenant?: string | undefined;
  /** Interactive calls go before batch calls. Default `interactive`. */
  readonly priority?: 'interactive' | 'batch' | undefined;
  /** When the caller stops waiting, in milliseconds since the epoch by the pool's clock. */
  readonly deadline?: number | undefined;
}

/** How a call ended. */
export type LeaseOutcome =
  | { readonly ok: true; readonly usage?: Usage | undefined }
  | {
      readonly ok: false;
      readonly failure: Failure;
      /** Whether the request reached the service, and so may have cost quota. */
      readonly sent: boolean;
    };

/** The right to make one call with one key. */
export interface KeyLease {
  readonly key: {
    /** Masked, safe to show: `key_1_...w2Do`. */
    readonly id: string;
    /** The secret itself. */
    readonly value: string;
    readonly project: string;
  };
  /** Reports how the call ended. Must be called exactly once; later calls are ignored. */
  settle(outcome: LeaseOutcome): void;
}

/** What is known of one key. */
export interface KeyStats {
  readonly id: string;
  readonly project: string;
  /** Calls that were sent with the key. */
  readonly usageCount: number;
  readonly successCount: number;
  readonly failureCount: number;
  readonly inFlight: number;
  /** When the key last failed, in milliseconds since the epoch. */
  readonly lastErrorAt: number | null;
  readonly lastError: string | null;
  /** Whether the key served the latest call. */
  readonly isCurrent: boolean;
  readonly state: 'ready' | 'cooling' | 'disabled';
  /** Why the key is not ready, in one sentence. */
  readonly reason?: string | undefined;
  /** When it will be tried again, in milliseconds since the epoch. */
  readonly until?: number | undefined;
}

export interface KeyPoolStats {
  readonly keys: readonly KeyStats[];
  /** Calls that wait for a key. */
  readonly queued: number;
  readonly inFlight: number;
}

/** Something that happened to a key. */
export interface KeyEvent {
  readonly type: 'cooled' | 'disabled' | 'recovered' | 'limit-learned';
  readonly keyId: string;
  readonly project: string;
  readonly model?: string | undefined;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly until?: number | undefined;
  readonly learned?: Failure['learned'];
}

/**
 * Grants the right to make one call, and learns from how the call ended.
 *
 * An implementer owes:
 * - `acquire` resolves with a lease that no limit known to the pool forbids, waits while there is
 *   none, and rejects with `KeyPoolExhaustedError` as soon as it is clear that the deadline cannot be
 *   met. An abort rejects with `signal.reason` at once and leaves nothing reserved.
 * - a failure is blamed on what its `scope` says and on nothing else: an overloaded model never costs
 *   a key, a bad key never costs its project.
 * - any number of concurrent calls; first come, first served within a tenant and priority.
 * - `close` rejects what waits with `KeyPoolExhaustedError`; leases in hand may still be settled.
 *
 * Shipped: `ScheduledKeyPool`.
 */
export interface KeyPool {
  acquire(need: KeyNeed, options?: CallOptions): Promise<KeyLease>;
  stats(): Promise<KeyPoolStats>;
  /** Subscribes to what happens to keys; returns the way to stop. */
  onEvent?(listener: (event: KeyEvent) => void): () => void;
  close(): Promise<void>;
}
