import type { Clock } from '../../core/clock.js';
import type { KeySpec } from '../key-spec.js';
import type { LimitRule } from '../limit-rules.js';

export interface ScheduledKeyPoolOptions {
  /** The keys, with their projects where known. Gemini counts quotas per project. */
  readonly keys: readonly KeySpec[];
  /** Known quotas. What is left out is learned from refusals, at the cost of a few of them. */
  readonly limits?: readonly LimitRule[] | undefined;
  /** How long a call without a deadline of its own waits for a key. Default 60,000. */
  readonly maxWaitMs?: number | undefined;
  /** Calls that may wait for one model. Default 10,000. */
  readonly maxQueueLength?: number | undefined;
  /** Calls that may run at once in one project with one model. Default 256. */
  readonly maxInFlightPerProjectModel?: number | undefined;
  /** Calls that may run at once altogether. Default 512. */
  readonly maxInFlight?: number | undefined;
  /**
   * A lease that was not settled so long after it was granted is taken for lost, and its place given
   * to another call. Default 900,000.
   */
  readonly maxLeaseMs?: number | undefined;
  /** Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** What is known from elsewhere about one project and model. */
export interface KnownQuota {
  readonly model: string;
  readonly project: string;
  readonly calls: readonly { readonly at: number; readonly tokens: number }[];
  readonly closedUntil?: number | undefined;
  readonly reason?: string | undefined;
}
