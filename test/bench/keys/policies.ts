import type { Clock } from '../../../src/core/clock.js';
import type { Failure } from '../../../src/core/failure.js';
import type { KeyPool } from '../../../src/keys/key-pool.js';
import type { LimitRule } from '../../../src/keys/limit-rules.js';
import { ScheduledKeyPool } from '../../../src/keys/scheduler/scheduled-key-pool.js';
import type { ScheduledKeyPoolOptions } from '../../../src/keys/scheduler/scheduled-key-pool-options.js';
import { BackoffRetryPolicy } from '../../../src/retry/backoff-retry-policy.js';
import type { RetryPolicy } from '../../../src/retry/retry-policy.js';
import { AnyKey, LeastUsed, MinuteCounters, PlainRetry, RotateOnError, RoundRobin } from './baselines.js';
import type { PlainKey } from './picking-pool.js';
import type { BenchProject } from './scenario.js';

interface PolicyParts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly projects: readonly BenchProject[];
  /** The configured limits. */
  readonly limits: readonly LimitRule[];
  /** Default: a pool of one process alone. */
  readonly openPool?: ((options: ScheduledKeyPoolOptions) => KeyPool) | undefined;
}

interface Policy {
  readonly keyPool: KeyPool;
  readonly retry: RetryPolicy;
  readonly reinterpret?: (failure: Failure) => Failure;
}

const labelled = (projects: readonly BenchProject[]) =>
  projects.flatMap(({ id, keys }) => keys.map((key) => ({ key, project: id })));

const plain = (projects: readonly BenchProject[]): PlainKey[] =>
  labelled(projects).map(({ key, project }, index) => ({ id: `key_${index + 1}`, value: key, project }));

/** The baselines count every failed attempt, whatever is to blame. */
const blameNobody = (failure: Failure): Failure => ({ ...failure, scope: 'model' });

function scheduled(
  { clock, random, openPool = (options) => new ScheduledKeyPool(options) }: PolicyParts,
  options: Pick<ScheduledKeyPoolOptions, 'keys' | 'limits'>,
): Policy {
  return {
    keyPool: openPool({ ...options, clock, random }),
    retry: new BackoffRetryPolicy({ random }),
  };
}

/** Every policy by name; all run over the same interfaces. */
export const policies: Readonly<Record<string, (parts: PolicyParts) => Policy>> = {
  'ours-configured': (parts) => scheduled(parts, { keys: labelled(parts.projects), limits: parts.limits }),
  'ours-learning': (parts) => scheduled(parts, { keys: labelled(parts.projects) }),
  'ours-unlabelled': (parts) => scheduled(parts, { keys: parts.projects.flatMap(({ keys }) => keys) }),
  'rotate-on-error': ({ clock, projects }) => ({
    keyPool: new RotateOnError(plain(projects), clock),
    retry: new PlainRetry(plain(projects).length),
    reinterpret: blameNobody,
  }),
  'round-robin': ({ clock, projects }) => ({
    keyPool: new RoundRobin(plain(projects), clock),
    retry: new PlainRetry(plain(projects).length),
    reinterpret: blameNobody,
  }),
  'random-full-jitter': ({ clock, projects, random }) => ({
    keyPool: new AnyKey(plain(projects), clock, random),
    retry: new PlainRetry(6, random),
    reinterpret: blameNobody,
  }),
  'least-used': ({ clock, projects }) => ({
    keyPool: new LeastUsed(plain(projects), clock),
    retry: new PlainRetry(plain(projects).length),
    reinterpret: blameNobody,
  }),
  'minute-counters': ({ clock, limits, projects, random }) => ({
    keyPool: new MinuteCounters(plain(projects), clock, limits),
    retry: new PlainRetry(4, random),
    reinterpret: blameNobody,
  }),
};
