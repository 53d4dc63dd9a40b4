import { z } from 'zod';
import type { Clock } from '../../core/clock.js';
import { atLeastOne, durationMs, nonBlank, partWith } from '../../core/parse-options.js';
import type { KeySpec } from '../key-spec.js';
import type { LimitRule } from '../limit-rules.js';
import {
  type ScheduledKeyPoolOptions,
  scheduledKeyPoolOptionsSchema,
} from '../scheduler/scheduled-key-pool-options.js';
import { isRedisClient, type RedisClient } from './redis-client.js';

/** Where the limits are kept from now on. */
export interface LedgerChange {
  /** `shared`: in Redis, by all processes. `local`: in this process, because Redis does not answer. */
  readonly mode: 'shared' | 'local';
  /** Why Redis is not used, in one sentence. */
  readonly reason?: string | undefined;
}

export interface RedisKeyPoolOptions {
  /** A connected client of the package `redis` (5 or newer) or `ioredis`. The caller closes it, after the pool. */
  readonly client: RedisClient;
  /** The keys, with their projects if known. All processes should be given the same. */
  readonly keys: readonly KeySpec[];
  /** Known limits. An omitted limit is learned from refusals, by all processes together. */
  readonly limits?: readonly LimitRule[] | undefined;
  /** Prefix of all keys in Redis. Pools with the same prefix share their limits. Default `multimodal-chat`. */
  readonly prefix?: string | undefined;
  /**
   * Secret of the HMACs that stand in Redis for the names of API keys, projects and models; the same in
   * all processes. Default: an API key is its own secret, and names of projects and models can be guessed.
   */
  readonly secret?: string | undefined;
  /** Whether to refuse calls while Redis does not answer, instead of using a share of the limits. Default `false`. */
  readonly failClosed?: boolean | undefined;
  /** Processes that share the limits if Redis was never reached. Default 1. */
  readonly expectedProcesses?: number | undefined;
  /** How long to wait for one answer of Redis, in milliseconds. Default 50. */
  readonly timeoutMs?: number | undefined;
  /**
   * How long Redis keeps the calls of a process that died reserved, in milliseconds. Each process renews
   * its reservations every second. Default 15,000.
   */
  readonly reservationTtlMs?: number | undefined;
  /**
   * How long a call waits for quota, in milliseconds: if none comes back within this, the call is refused
   * at once with the time of the next try. In a queue that moves, a call with a deadline waits its turn. No
   * call waits for a key that Gemini rejects. Default 90,000.
   */
  readonly maxWaitMs?: number | undefined;
  /** Calls that may wait for one model in this process. Default 10,000. */
  readonly maxQueueLength?: number | undefined;
  /** Calls that may run at once in one project with one model, in all processes together. Default 256. */
  readonly maxInFlightPerProjectModel?: number | undefined;
  /** Calls that may run at once in this process. Default 512. */
  readonly maxInFlight?: number | undefined;
  /**
   * How long after its deadline a lease that was not settled counts as lost, so that its place goes to
   * another call, in milliseconds. Default 900,000.
   */
  readonly maxLeaseMs?: number | undefined;
  /** Called when the pool falls back to local limits and when it reconnects. */
  readonly onLedgerChange?: ((change: LedgerChange) => void) | undefined;
  /** Clock of the timers and of the ledger, shared by all processes. Default: the machine's timers and the time of Redis. */
  readonly clock?: Clock | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

type OwnOption = Exclude<keyof RedisKeyPoolOptions, keyof ScheduledKeyPoolOptions> | 'clock';

export const redisKeyPoolOptionsSchema = scheduledKeyPoolOptionsSchema.extend({
  client: z.custom<RedisClient>(
    isRedisClient,
    'is no Redis client. Pass a connected client of the package `redis` (5 or newer) or `ioredis`',
  ),
  prefix: nonBlank.default('multimodal-chat'),
  secret: z.string().min(1).optional(),
  failClosed: z.boolean().default(false),
  expectedProcesses: atLeastOne.default(1),
  timeoutMs: durationMs.default(50),
  reservationTtlMs: durationMs.default(15_000),
  onLedgerChange: z
    .custom<(change: LedgerChange) => void>((value) => typeof value === 'function', 'must be a function')
    .optional(),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').optional(),
} satisfies Record<OwnOption, z.ZodType>) satisfies z.ZodType<unknown, RedisKeyPoolOptions>;

export type ResolvedRedisKeyPoolOptions = z.output<typeof redisKeyPoolOptionsSchema>;
