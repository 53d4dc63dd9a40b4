import { type Clock, wallAheadMs } from '../../core/clock.js';
import { isRejection } from '../health/failure-reaction.js';
import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import type { KeyPoolStats, KeyStats, LimitStats, WindowStats } from '../key-pool.js';
import type { AdaptiveLimit } from '../quota/adaptive-limit.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { KeyRegistry } from './key-registry.js';

const rememberedWaits = 1_024;

/** How long the latest calls waited for a key. */
export class QueueWaits {
  readonly #waits: number[] = [];
  #next = 0;

  add(waitMs: number): void {
    this.#waits[this.#next] = waitMs;
    this.#next = (this.#next + 1) % rememberedWaits;
  }

  describe(): NonNullable<KeyPoolStats['waitMs']> {
    const sorted = [...this.#waits].sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
  }
}

/** The state of the pool as plain data without secrets. */
export function describePool(
  registry: KeyRegistry,
  waits: QueueWaits,
  current: PooledKey | undefined,
  inFlight: number,
  clock: Clock,
): KeyPoolStats {
  const now = clock.now();
  const modelQueues = [...registry.modelQueues()];
  const quotas = modelQueues.flatMap((modelQueue) => modelQueue.quotas);
  const keys = [...registry.projects()].flatMap((project) => {
    const ownQuotas = quotas.filter((quota) => quota.project === project);
    const windows = ownQuotas.map((quota) => describeQuota(quota, now));
    return project.keys.map((key) => describeKey(key, project, ownQuotas, windows, key === current, now));
  });
  const stats: KeyPoolStats = {
    keys: keys.sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true })),
    allRejected: keys.length > 0 && [...registry.projects()].every((project) => isRejected(project, quotas)),
    queued: modelQueues.reduce((queued, modelQueue) => queued + modelQueue.waiters.size, 0),
    inFlight,
    waitMs: waits.describe(),
    parkedModels: modelQueues
      .filter((modelQueue) => modelQueue.breaker.gate.allowsAt(now) > now)
      .map(({ model, breaker }) => ({
        model,
        until: breaker.gate.allowsAt(now),
        reason: breaker.gate.reason ?? '',
      })),
  };
  return inWallTime(stats, wallAheadMs(clock));
}

/** Whether the service rejected every key of the project, or the project for every model, and none has worked since. */
function isRejected(project: KeyProject, quotas: readonly ProjectModelQuota[]): boolean {
  const own = quotas.filter((quota) => quota.project === project);
  return (
    !project.gate.isHealthy ||
    project.keys.every((key) => !key.gate.isHealthy) ||
    (own.length > 0 && own.every((quota) => isRejection(quota.gate.why)))
  );
}

/** Times as dates. */
function inWallTime(stats: KeyPoolStats, aheadMs: number): KeyPoolStats {
  const date = <T extends number | null | undefined>(at: T) =>
    (typeof at === 'number' ? at + aheadMs : at) as T;
  return {
    ...stats,
    keys: stats.keys.map((key) => ({
      ...key,
      lastErrorAt: date(key.lastErrorAt),
      ...(key.until === undefined ? {} : { until: date(key.until) }),
      windows: key.windows?.map((window) => ({ ...window, nextFreeAt: date(window.nextFreeAt) })),
    })),
    parkedModels: stats.parkedModels?.map((parked) => ({ ...parked, until: date(parked.until) })),
  };
}

function describeKey(
  key: PooledKey,
  project: KeyProject,
  quotas: readonly ProjectModelQuota[],
  windows: readonly WindowStats[],
  isCurrent: boolean,
  now: number,
): KeyStats {
  const disabled = [key.gate, project.gate].find((gate) => gate.allowsAt(now) > now);
  const isCooling = quotas.length > 0 && quotas.every((quota) => quota.gate.allowsAt(now) > now);
  const cooling = isCooling
    ? [...quotas].sort((a, b) => a.gate.allowsAt(now) - b.gate.allowsAt(now))[0]?.gate
    : undefined;
  const blocking = disabled ?? cooling;
  const until = blocking?.allowsAt(now);
  return {
    id: key.id,
    project: project.name,
    usageCount: key.usageCount,
    successCount: key.successCount,
    failureCount: key.failureCount,
    inFlight: key.inFlight,
    lastErrorAt: key.lastErrorAt,
    lastError: key.lastError,
    isCurrent,
    state: disabled !== undefined ? 'disabled' : cooling !== undefined ? 'cooling' : 'ready',
    ...(blocking?.reason === undefined ? {} : { reason: blocking.reason }),
    ...(until === undefined || until === Number.POSITIVE_INFINITY ? {} : { until }),
    windows,
    rejections: { ...key.rejections },
    serverErrors: key.serverErrors,
    wastedCalls: key.usageCount - key.successCount,
  };
}

function describeQuota(quota: ProjectModelQuota, now: number): WindowStats {
  const nextFreeAt = quota.freeAt(0, now);
  return {
    model: quota.model,
    requests: quota.log.requests(now),
    inputTokens: quota.log.tokens(now),
    requestsToday: quota.requestsToday(now),
    rpm: describeLimit(quota.limits.rpm, now),
    tpm: describeLimit(quota.limits.tpm, now),
    rpd: describeLimit(quota.limits.rpd, now),
    inFlight: quota.inFlight,
    nextFreeAt: nextFreeAt === Number.POSITIVE_INFINITY ? null : Math.max(now, nextFreeAt),
  };
}

function describeLimit(limit: AdaptiveLimit, now: number): LimitStats {
  const value = limit.usable(now);
  return { value: value === Number.POSITIVE_INFINITY ? null : value, origin: limit.origin };
}
