import { z } from 'zod';
import { atLeastOne, count, durationMs, nonBlank } from '../core/parse-options.js';

export interface BackoffRetryPolicyOptions {
  /** Attempts at one model that count: the pool's own detours (a bad key, a spent quota) do not. Default 5. */
  readonly maxAttempts?: number | undefined;
  /**
   * How long to go on after an overloaded service or a broken network, beyond `maxAttempts`, in
   * milliseconds. Default 30,000, or 0 if `maxAttempts` is given. If it is not given, retries of a
   * service that cannot be reached at all (unknown host, connection refused) end after 10,000.
   */
  readonly patienceMs?: number | undefined;
  /** Upper bound of the delay before the first retry; it doubles with each attempt. Default 500. */
  readonly baseDelayMs?: number | undefined;
  /** Upper bound of any delay that the service did not ask for. Default 20,000. */
  readonly maxDelayMs?: number | undefined;
  /**
   * Models to go on with, in this order, if a model cannot answer or its service asks to wait longer than
   * `maxDelayMs`. Default: none.
   */
  readonly fallbackModels?: readonly string[] | undefined;
  /** What to do when the answer breaks off after part of it was shown. Default `restart`. */
  readonly onPartialOutput?: 'restart' | 'fail' | undefined;
  /** Source of jitter, from 0 to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** `patienceMs` has its default in the policy, since it depends on `maxAttempts`. */
export const backoffRetryPolicyOptionsSchema = z.strictObject({
  maxAttempts: atLeastOne.optional(),
  patienceMs: count.optional(),
  baseDelayMs: durationMs.default(500),
  maxDelayMs: durationMs.default(20_000),
  fallbackModels: z.array(nonBlank).readonly().default([]),
  onPartialOutput: z.enum(['restart', 'fail']).default('restart'),
  random: z
    .custom<() => number>((value) => typeof value === 'function', 'must be a function')
    .default(() => Math.random),
}) satisfies z.ZodType<unknown, BackoffRetryPolicyOptions>;
