import { z } from 'zod';
import { type Clock, systemClock } from '../../core/clock.js';
import { atLeastOne, count, durationMs, partWith } from '../../core/parse-options.js';
import { type KeySpec, keySpecSchema } from '../key-spec.js';
import { type LimitRule, limitRuleSchema } from '../limit-rules.js';

export interface ScheduledKeyPoolOptions {
  /** The keys, with their projects if known. Gemini counts quotas per project. */
  readonly keys: readonly KeySpec[];
  /** Known limits. An omitted limit is learned from refusals, at the cost of a few of them. */
  readonly limits?: readonly LimitRule[] | undefined;
  /**
   * How long a call waits for quota, in milliseconds: if none comes back within this, the call is refused
   * at once with the time of the next try. In a queue that moves, a call with a deadline waits its turn. No
   * call waits for a key that Gemini rejects. Default 90,000.
   */
  readonly maxWaitMs?: number | undefined;
  /** Calls that may wait for one model. Default 10,000. */
  readonly maxQueueLength?: number | undefined;
  /** Calls that may run at once in one project with one model. Default 256. */
  readonly maxInFlightPerProjectModel?: number | undefined;
  /** Calls that may run at once altogether. Default 512. */
  readonly maxInFlight?: number | undefined;
  /**
   * How long after its deadline a lease that was not settled counts as lost, so that its place goes to
   * another call, in milliseconds. Without a deadline it counts from the grant. Default 900,000.
   */
  readonly maxLeaseMs?: number | undefined;
  /** Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

export const scheduledKeyPoolOptionsSchema = z.strictObject({
  keys: z.array(keySpecSchema).readonly(),
  limits: z.array(limitRuleSchema).readonly().default([]),
  maxWaitMs: z.number().min(0).default(90_000),
  maxQueueLength: count.default(10_000),
  maxInFlightPerProjectModel: atLeastOne.default(256),
  maxInFlight: atLeastOne.default(512),
  maxLeaseMs: durationMs.default(900_000),
  clock: partWith<Clock>('Clock', 'now', 'setTimeout', 'clearTimeout').default(() => systemClock),
  random: z
    .custom<() => number>((value) => typeof value === 'function', 'must be a function')
    .default(() => Math.random),
} satisfies Record<keyof ScheduledKeyPoolOptions, z.ZodType>) satisfies z.ZodType<
  unknown,
  ScheduledKeyPoolOptions
>;
