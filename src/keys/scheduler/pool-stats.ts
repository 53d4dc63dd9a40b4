import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import type { KeyPoolStats, KeyStats, LimitStats, WindowStats } from '../key-pool.js';
import type { AdaptiveLimit } from '../quota/adaptive-limit.js';
import type { Unit } from '../quota/project-model-quota.js';
import type { KeyRing } from './key-registry.js';

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

/** Puts everything that the pool knows into plain data, free of secrets. */
export function describePool(
  ring: KeyRing,
  waits: QueueWaits,
  current: PooledKey | undefined,
  inFlight: number,
  now: number,
): KeyPoolStats {
  const lanes = [...ring.lanes()];
  const units = lanes.flatMap((lane) => lane.units);
  const keys = [...ring.projects()].flatMap((project) => {
    const ownUnits = units.filter((unit) => unit.project === project);
    const windows = ownUnits.map((unit) => describeUnit(unit, now));
    return project.keys.map((key) => describeKey(key, project, ownUnits, windows, key === current, now));
  });
  return {
    keys: keys.sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true })),
    queued: lanes.reduce((queued, lane) => queued + lane.queue.size, 0),
    inFlight,
    waitMs: waits.describe(),
    parkedModels: lanes
      .filter((lane) => lane.breaker.gate.opensAt(now) > now)
      .map(({ model, breaker }) => ({
        model,
        until: breaker.gate.opensAt(now),
        reason: breaker.gate.reason ?? '',
      })),
  };
}

function describeKey(
  key: PooledKey,
  project: KeyProject,
  units: readonly Unit[],
  windows: readonly WindowStats[],
  isCurrent: boolean,
  now: number,
): KeyStats {
  const disabled = [key.gate, project.gate].find((gate) => gate.opensAt(now) > now);
  const isCooling = units.length > 0 && units.every((unit) => unit.gate.opensAt(now) > now);
  const cooling = isCooling
    ? [...units].sort((a, b) => a.gate.opensAt(now) - b.gate.opensAt(now))[0]?.gate
    : undefined;
  const held = disabled ?? cooling;
  const until = held?.opensAt(now);
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
    ...(held?.reason === undefined ? {} : { reason: held.reason }),
    ...(until === undefined || until === Number.POSITIVE_INFINITY ? {} : { until }),
    windows,
    rejections: { ...key.rejections },
    serverErrors: key.serverErrors,
    wastedCalls: key.usageCount - key.successCount,
  };
}

function describeUnit(unit: Unit, now: number): WindowStats {
  const nextFreeAt = unit.freeAt(0, now);
  return {
    model: unit.model,
    requests: unit.log.requests(now),
    inputTokens: unit.log.tokens(now),
    requestsToday: unit.requestsToday(now),
    rpm: describeLimit(unit.rpm, now),
    tpm: describeLimit(unit.tpm, now),
    rpd: describeLimit(unit.rpd, now),
    inFlight: unit.inFlight,
    nextFreeAt: nextFreeAt === Number.POSITIVE_INFINITY ? null : Math.max(now, nextFreeAt),
  };
}

function describeLimit(limit: AdaptiveLimit, now: number): LimitStats {
  const value = limit.usable(now);
  return { value: value === Number.POSITIVE_INFINITY ? null : value, origin: limit.origin };
}
