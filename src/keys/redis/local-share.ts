import type { Clock } from '../../core/clock.js';
import type { PooledKey } from '../health/pooled-key.js';
import type { LimitRule, QuotaLimits } from '../limit-rules.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { KeyMirror } from './key-mirror.js';
import { endless, type LimitView } from './ledger-view.js';
import type { LocalCall } from './local-call-log.js';
import type { ResolvedRedisKeyPoolOptions } from './redis-key-pool-options.js';

const minuteMs = 60_000;

export interface LocalShareOptions {
  readonly mirror: KeyMirror;
  readonly options: ResolvedRedisKeyPoolOptions;
  /** Processes that share the limits. */
  readonly processes: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** The time of the local clock at a moment of the ledger's. */
  readonly toLocal: (at: number) => number;
}

/**
 * A pool for the time without a ledger. It has this process's part of every limit, and its part of the
 * last minute's use is already charged, so that all processes together stay within the limits.
 */
export function openLocalShare(share: LocalShareOptions): ScheduledKeyPool {
  const { mirror, options, processes, clock, random } = share;
  const now = clock.now();
  const quotas = mirror.quotas();
  const pool = new ScheduledKeyPool({
    keys: usableKeys(mirror, now).map(({ key, project }) => ({ key: key.leased.value, project })),
    limits: [
      ...options.limits.map((rule) => divideRule(rule, processes)),
      ...quotas.map((quota) => quotaRule(quota, share)),
    ],
    maxWaitMs: options.maxWaitMs,
    maxQueueLength: options.maxQueueLength,
    maxInFlight: options.maxInFlight,
    maxInFlightPerProjectModel: part(options.maxInFlightPerProjectModel, processes),
    clock,
    random,
  });
  const calls = mirror.calls.of(quotas);
  quotas.forEach((quota, place) => {
    const { blockedUntil, reason } = quota.gate;
    pool.restore({
      model: quota.model,
      project: quota.project.name,
      calls: ownPart(quota, calls[place] ?? [], share),
      ...(blockedUntil > now ? { blockedUntil, reason } : {}),
    });
  });
  return pool;
}

/** The keys that are not blocked; all of them if every key is. */
function usableKeys(
  mirror: KeyMirror,
  now: number,
): readonly { readonly key: PooledKey; readonly project: string }[] {
  const all = [...mirror.registry.projects()].flatMap((project) =>
    project.keys.map((key) => ({
      key,
      project: project.name,
      allowsAt: Math.max(key.gate.allowsAt(now), project.gate.allowsAt(now)),
    })),
  );
  const usable = all.filter(({ allowsAt }) => allowsAt <= now);
  return usable.length > 0 ? usable : all;
}

function divideRule(rule: LimitRule, processes: number): LimitRule {
  return {
    ...rule,
    rpm: part(rule.rpm, processes),
    tpm: part(rule.tpm, processes),
    rpd: part(rule.rpd, processes),
  };
}

/** This process's part of the limits of one quota, and of what is left of its day. */
function quotaRule(quota: ProjectModelQuota, { mirror, processes }: LocalShareOptions): LimitRule {
  const view = mirror.seen(quota)?.view;
  const limits: QuotaLimits = {
    rpm: finite(quota.rpm.nominal),
    tpm: finite(quota.tpm.nominal),
    rpd: finite(quota.rpd.nominal),
  };
  return {
    project: quota.project.name,
    model: quota.model,
    rpm: part(lower(limits.rpm, view?.rpm), processes),
    tpm: part(lower(limits.tpm, view?.tpm), processes),
    rpd:
      limits.rpd === undefined
        ? undefined
        : Math.floor(Math.max(0, limits.rpd - (view?.day ?? 0)) / processes),
  };
}

/** This process's part of the calls of the last minute, at the times of its own calls. */
function ownPart(
  quota: ProjectModelQuota,
  own: readonly LocalCall[],
  { mirror, processes, toLocal, clock }: LocalShareOptions,
): readonly { at: number; tokens: number }[] {
  const view = mirror.seen(quota)?.view;
  if (view === undefined) return own.map(({ at, tokens }) => ({ at: toLocal(at), tokens }));
  const count = Math.ceil(view.requests / processes);
  const tokens = Math.ceil(view.tokens / Math.max(1, count) / processes);
  return Array.from({ length: count }, (_, place) => {
    const like = own[Math.floor((place * own.length) / count)];
    return {
      at: like === undefined ? clock.now() - minuteMs * (1 - (place + 1) / count) : toLocal(like.at),
      tokens,
    };
  });
}

function lower(limit: number | undefined, view: LimitView | undefined): number | undefined {
  if (view === undefined || view.value === endless) return limit;
  return Math.min(limit ?? view.value, view.value);
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
