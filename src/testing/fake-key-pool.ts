import type { AbortOptions } from '../core/abort.js';
import { ClosedError, KeyPoolExhaustedError } from '../core/errors.js';
import type { KeyLease, KeyPool, KeyPoolStats, LeaseOutcome, LeaseRequest } from '../keys/key-pool.js';

/** A lease that a {@link FakeKeyPool} granted, and how it was settled. */
export interface FakeLease {
  readonly request: LeaseRequest;
  readonly keyId: string;
  /** `undefined` while the lease is out. */
  readonly outcome: LeaseOutcome | undefined;
}

/**
 * A `KeyPool` that grants every call at once, its keys in turn, and records how each lease was settled.
 *
 * @example
 * ```ts
 * const keyPool = new FakeKeyPool();
 * // ... run the code under test ...
 * assert.deepEqual(keyPool.leases.map((lease) => lease.outcome?.ok), [false, true]);
 * ```
 */
export class FakeKeyPool implements KeyPool {
  readonly #keys: readonly string[];
  readonly #leases: { request: LeaseRequest; keyId: string; outcome: LeaseOutcome | undefined }[] = [];
  #isClosed = false;

  /** @param keys The key values. Default: one, `fake-key`. */
  constructor(keys: readonly string[] = ['fake-key']) {
    this.#keys = keys;
  }

  /** Every lease granted, oldest first. */
  get leases(): readonly FakeLease[] {
    return this.#leases;
  }

  async acquire(request: LeaseRequest, { signal }: AbortOptions = {}): Promise<KeyLease> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('key pool');
    const index = this.#leases.length % this.#keys.length;
    const value = this.#keys[index];
    if (value === undefined) throw new KeyPoolExhaustedError('The fake key pool has no keys.');
    const lease = { request, keyId: this.#idOf(index), outcome: undefined as LeaseOutcome | undefined };
    this.#leases.push(lease);
    return {
      key: { id: lease.keyId, value, project: request.project ?? 'fake-project' },
      settle: (outcome) => {
        lease.outcome ??= outcome;
      },
    };
  }

  async stats(): Promise<KeyPoolStats> {
    const current = this.#leases.at(-1)?.keyId;
    return {
      keys: this.#keys.map((_, index) => {
        const id = this.#idOf(index);
        const outcomes = this.#leases.filter(({ keyId }) => keyId === id).map(({ outcome }) => outcome);
        const failures = outcomes.flatMap((outcome) => (outcome && !outcome.ok ? [outcome.failure] : []));
        return {
          id,
          project: 'fake-project',
          usageCount: outcomes.length,
          successCount: outcomes.filter((outcome) => outcome?.ok).length,
          failureCount: failures.length,
          inFlight: outcomes.filter((outcome) => outcome === undefined).length,
          lastErrorAt: failures.length > 0 ? 0 : null,
          lastError: failures.at(-1)?.message ?? null,
          isCurrent: id === current,
          state: 'ready',
        };
      }),
      queued: 0,
      inFlight: this.#leases.filter(({ outcome }) => outcome === undefined).length,
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #idOf(index: number): string {
    return `key_${index + 1}_...fake`;
  }
}
