import type { Clock } from '../../core/clock.js';
import type { PooledKey } from '../health/pooled-key.js';
import type { LimitRule, QuotaLimits } from '../limit-rules.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { KeyMirror } from './key-mirror.js';
import { endless, type LimitView } from './ledger-view.js';
import type { LocalCall } from './local-call-log.js';

const minuteMs = 60_000;

export interface LocalShareOptions {
  readonly mirror: KeyMirror;
  readonly rules: readonly LimitRule[];
  /** Among how many processes the limits are divided. */
  readonly processes: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly maxWaitMs: number;
  readonly maxQueueLength: number;
  readonly maxInFlight: number;
  readonly maxInFlightPerProjectModel: number;
  /** The time of the local clock at a moment of the ledger's. */
  readonly toLocal: (at: number) => number;
}

/**
 * A pool for the time without a ledger: this process's part of every limit, with its part of what was
 * used in the last minute charged already, so that all processes together stay within the limits.
 */
export function openLocalShare(options: LocalShareOptions): ScheduledKeyPool {
  const { mirror, clock } = options;
  const now = clock.now();
  const quotas = mirror.quotas();
  const pool = new ScheduledKeyPool({
    ...options,
    keys: usableKeys(mirror, now).map(({ key, project }) => ({ key: key.leased.value, project })),
    limits: [
      ...options.rules.map((rule) => divideRule(rule, options.processes)),
      ...quotas.map((quota) => quotaRule(quota, options)),
    ],
    maxInFlightPerProjectModel: part(options.maxInFlightPerProjectModel, options.processes),
  });
  const calls = mirror.calls.of(quotas);
  quotas.forEach((quota, place) => {
    const { blockedUntil: closedUntil, reason } = quota.gate;
    pool.restore({
      model: quota.model,
      project: quota.project.name,
      calls: ownPart(quota, calls[place] ?? [], options),
      ...(closedUntil > now ? { closedUntil, reason } : {}),
    });
  });
  return pool;
}

/** Keys that nothing is held against; all of them where that leaves none. */
function usableKeys(
  mirror: KeyMirror,
  now: number,
): readonly { readonly key: PooledKey; readonly project: string }[] {
  const all = [...mirror.registry.projects()].flatMap((project) =>
    project.keys.map((key) => ({
      key,
      project: project.name,
      opensAt: Math.max(key.gate.allowsAt(now), project.gate.allowsAt(now)),
    })),
  );
  const open = all.filter(({ opensAt }) => opensAt <= now);
  return open.length > 0 ? open : all;
}

function divideRule(rule: LimitRule, processes: number): LimitRule {
  return {
    ...rule,
    rpm: part(rule.rpm, processes),
    tpm: part(rule.tpm, processes),
    rpd: part(rule.rpd, processes),
  };
}

/** The part of what the ledger or the service said about one quota; of the day only what is left of it. */
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

/** This process's part of the latest minute, at times that its own calls suggest. */
function ownPart(
  quota: ProjectModelQuota,
  own: readonly LocalCall[],
  options: LocalShareOptions,
): readonly { at: number; tokens: number }[] {
  const { mirror, processes, toLocal, clock } = options;
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

/** At least 1: with less a process would not find out that it may call again. */
function part(limit: number, processes: number): number;
function part(limit: number | undefined, processes: number): number | undefined;
function part(limit: number | undefined, processes: number): number | undefined {
  return limit === undefined || limit === 0 ? limit : Math.max(1, Math.floor(limit / processes));
}

function finite(limit: number): number | undefined {
  return limit === Number.POSITIVE_INFINITY ? undefined : limit;
}
