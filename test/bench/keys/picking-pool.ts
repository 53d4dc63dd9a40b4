import type { AbortOptions } from '../../../src/core/abort.js';
import type { Clock } from '../../../src/core/clock.js';
import { sleep } from '../../../src/core/clock.js';
import { KeyPoolExhaustedError } from '../../../src/core/errors.js';
import type {
  KeyLease,
  KeyPool,
  KeyPoolStats,
  LeaseOutcome,
  LeaseRequest,
} from '../../../src/keys/key-pool.js';

/** A key as the baselines know it. */
export interface PlainKey {
  readonly id: string;
  readonly value: string;
  readonly project: string;
}

const pollMs = 1_000;

/**
 * What the baselines share: a way to pick a key for each call, and to hear how it ended. A pool whose
 * `pick` finds none looks again every second until the caller's deadline.
 */
export abstract class PickingPool implements KeyPool {
  protected readonly keys: readonly PlainKey[];
  protected readonly clock: Clock;

  constructor(keys: readonly PlainKey[], clock: Clock) {
    this.keys = keys;
    this.clock = clock;
  }

  protected abstract pick(request: LeaseRequest): PlainKey | undefined;
  protected abstract ended(key: PlainKey, outcome: LeaseOutcome): void;

  async acquire(request: LeaseRequest, { signal }: AbortOptions = {}): Promise<KeyLease> {
    for (;;) {
      const key = this.pick(request);
      if (key !== undefined) return { key, settle: (outcome) => this.ended(key, outcome) };
      if (this.clock.now() + pollMs >= (request.deadline ?? 0))
        throw new KeyPoolExhaustedError('No key is free.');
      await sleep(this.clock, pollMs, signal);
    }
  }

  stats(): Promise<KeyPoolStats> {
    return Promise.resolve({ keys: [], queued: 0, inFlight: 0 });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
