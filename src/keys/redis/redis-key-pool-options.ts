import type { Clock } from '../../core/clock.js';
import type { KeySpec } from '../key-spec.js';
import type { LimitRule } from '../limit-rules.js';
import type { RedisClient } from './redis-client.js';

/** Where the limits are kept at the moment. */
export interface LedgerChange {
  /** In Redis by all processes together, or here alone because Redis does not answer. */
  readonly mode: 'shared' | 'local';
  /** Why Redis is done without, in one sentence. */
  readonly reason?: string | undefined;
}

export interface RedisKeyPoolOptions {
  /** A connected client of the package `redis` (5 or newer) or `ioredis`. The caller closes it, after the pool. */
  readonly client: RedisClient;
  /** The keys, with their projects where known. All processes should be given the same. */
  readonly keys: readonly KeySpec[];
  /** Known quotas. What is left out is learned from refusals, by all processes together. */
  readonly limits?: readonly LimitRule[] | undefined;
  /** Begins the name of everything in Redis. Pools with the same prefix share their limits. Default `multimodal-chat`. */
  readonly prefix?: string | undefined;
  /**
   * Key of the HMAC under which API keys, projects and models are named in Redis; the same in all
   * processes. Default: each API key hides itself; names of projects and models could be guessed.
   */
  readonly secret?: string | undefined;
  /** Whether to refuse calls while Redis does not answer, instead of going on with a share of the limits. Default `false`. */
  readonly failClosed?: boolean | undefined;
  /** Among how many processes the limits are divided when Redis was never reached. Default 1. */
  readonly expectedProcesses?: number | undefined;
  /** How long Redis may take for one answer, in milliseconds. Default 50. */
  readonly timeoutMs?: number | undefined;
  /**
   * After how long Redis gives back what a process had running that died, in milliseconds. Living
   * processes renew it every second. Default 15,000.
   */
  readonly reservationTtlMs?: number | undefined;
  /** How long a call without a deadline of its own waits for a key. Default 60,000. */
  readonly maxWaitMs?: number | undefined;
  /** Calls that may wait for one model in this process. Default 10,000. */
  readonly maxQueueLength?: number | undefined;
  /** Calls that may run at once in one project with one model, in all processes together. Default 256. */
  readonly maxInFlightPerProjectModel?: number | undefined;
  /** Calls that may run at once in this process. Default 512. */
  readonly maxInFlight?: number | undefined;
  /**
   * A lease that was not settled so long after it was granted, or after its deadline, is taken for
   * lost, and its place given to another call. Default 900,000.
   */
  readonly maxLeaseMs?: number | undefined;
  /** Hears when Redis is done without and when it is used again. */
  readonly onLedgerChange?: ((change: LedgerChange) => void) | undefined;
  /** Time of the timers and of the ledger; all processes have to share it. Default: the machine's timers and the time of Redis. */
  readonly clock?: Clock | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}
