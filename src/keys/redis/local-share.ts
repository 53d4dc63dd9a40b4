import type { Clock } from '../../core/clock.js';
import type { LimitRule } from '../limit-rules.js';
import type { ProjectModelQuota, QuotaState } from '../quota/project-model-quota.js';
import type { KeyRegistry } from '../scheduler/key-registry.js';
import { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { ResolvedRedisKeyPoolOptions } from './redis-key-pool-options.js';

export interface LocalShareOptions {
  readonly registry: KeyRegistry;
  readonly options: ResolvedRedisKeyPoolOptions;
  /** Processes that share the limits. */
  readonly processes: number;
  readonly clock: Clock;
}

/**
 * A pool for the time without a ledger. It has this process's part of every limit, and its part of the
 * last minute's use is already charged, so that all processes together stay within the limits.
 */
export function openLocalShare({ registry, options, processes, clock }: LocalShareOptions): ScheduledKeyPool {
  const now = clock.now();
  const quotas = [...registry.modelQueues()].flatMap((modelQueue) => modelQueue.quotas);
  const { maxInFlight, maxInFlightPerProjectModel, maxLeaseMs, maxQueueLength, maxWaitMs, random } = options;
  const pool = new ScheduledKeyPool({
    keys: usableKeys(registry, now),
    limits: [
      ...options.limits.map((rule) => divide(rule, processes)),
      ...quotas.map((quota) => divide(knownLimits(quota, now), processes)),
    ],
    maxInFlight,
    maxInFlightPerProjectModel: part(maxInFlightPerProjectModel, processes),
    maxLeaseMs,
    maxQueueLength,
    maxWaitMs,
    clock,
    random,
  });
  for (const quota of quotas) {
    const { gate, ...state } = quota.save(now);
    const blocked = quota.gate.allowsAt(now) > now ? { gate } : {};
    pool.restore(quota.model, quota.project.name, {
      ...fresh(state),
      ...blocked,
      log: ownPart(state.log, processes),
    });
  }
  return pool;
}

/** The keys that are not blocked; all of them if every key is. */
function usableKeys(registry: KeyRegistry, now: number) {
  const all = [...registry.projects()].flatMap((project) =>
    project.keys.map((key) => ({
      spec: { key: key.leased.value, project: project.name },
      allowsAt: Math.max(key.gate.allowsAt(now), project.gate.allowsAt(now)),
    })),
  );
  const usable = all.filter(({ allowsAt }) => allowsAt <= now);
  return (usable.length > 0 ? usable : all).map(({ spec }) => spec);
}

/** The limits of one quota, and what is left of its day. */
function knownLimits(quota: ProjectModelQuota, now: number): LimitRule {
  const { model, project, rpd, rpm, tpm } = quota;
  const left = Math.max(0, rpd.nominal - quota.requestsToday(now));
  return {
    project: project.name,
    model,
    rpm: finite(rpm.usable(now)),
    tpm: finite(tpm.usable(now)),
    rpd: finite(left),
  };
}

function divide(rule: LimitRule, processes: number): LimitRule {
  const rpd = rule.rpd === undefined ? undefined : Math.floor(rule.rpd / processes);
  return { ...rule, rpm: part(rule.rpm, processes), tpm: part(rule.tpm, processes), rpd };
}

/** The limits are in the rules, and the day counts from now. */
function fresh(state: QuotaState): QuotaState {
  const unknown = { share: 1, cutAt: 0 };
  return structuredClone({
    ...state,
    limits: { rpm: { ...unknown }, tpm: { ...unknown }, rpd: { ...unknown } },
    day: { end: 0, requests: 0 },
  });
}

/** This process's part of the calls of the last minute. */
function ownPart(log: readonly number[], processes: number): number[] {
  const own: number[] = [];
  let requests = 0;
  let tokens = 0;
  const share = (total: number) => Math.ceil(total / processes);
  for (let i = 0; i + 2 < log.length; i += 3) {
    const [at = 0, moreRequests = 0, moreTokens = 0] = log.slice(i, i + 3);
    own.push(
      at,
      share(requests + moreRequests) - share(requests),
      share(tokens + moreTokens) - share(tokens),
    );
    requests += moreRequests;
    tokens += moreTokens;
  }
  return own;
}

/** At least 1, so that a process notices when it may call again. */
function part(limit: number, processes: number): number;
function part(limit: number | undefined, processes: number): number | undefined;
function part(limit: number | undefined, processes: number): number | undefined {
  return limit === undefined || limit === 0 ? limit : Math.max(1, Math.floor(limit / processes));
}

function finite(limit: number): number | undefined {
  return limit === Number.POSITIVE_INFINITY ? undefined : limit;
}
