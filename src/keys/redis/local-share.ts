import type { Clock } from '../../core/clock.js';
import type { PooledKey } from '../health/pooled-key.js';
import type { LimitRule, QuotaLimits } from '../limit-rules.js';
import type { Unit } from '../quota/project-model-quota.js';
import { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { KeyMirror } from './key-mirror.js';
import { endless, type LimitView } from './ledger-view.js';
import type { OwnCall } from './own-calls.js';

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
  readonly maxInFlightPerUnit: number;
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
  const units = mirror.units();
  const pool = new ScheduledKeyPool({
    ...options,
    keys: usableKeys(mirror, now).map(({ key, project }) => ({ key: key.leased.value, project })),
    limits: [
      ...options.rules.map((rule) => divideRule(rule, options.processes)),
      ...units.map((unit) => unitRule(unit, options)),
    ],
    maxInFlightPerUnit: part(options.maxInFlightPerUnit, options.processes),
  });
  const calls = mirror.calls.of(units);
  units.forEach((unit, place) => {
    const { closedUntil, reason } = unit.gate;
    pool.restore({
      model: unit.model,
      project: unit.project.name,
      calls: ownPart(unit, calls[place] ?? [], options),
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
  const all = [...mirror.ring.projects()].flatMap((project) =>
    project.keys.map((key) => ({
      key,
      project: project.name,
      opensAt: Math.max(key.gate.opensAt(now), project.gate.opensAt(now)),
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

/** The part of what the ledger or the service said about one unit; of the day only what is left of it. */
function unitRule(unit: Unit, { mirror, processes }: LocalShareOptions): LimitRule {
  const view = mirror.seen(unit)?.view;
  const limits: QuotaLimits = {
    rpm: finite(unit.rpm.nominal),
    tpm: finite(unit.tpm.nominal),
    rpd: finite(unit.rpd.nominal),
  };
  return {
    project: unit.project.name,
    model: unit.model,
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
  unit: Unit,
  own: readonly OwnCall[],
  options: LocalShareOptions,
): readonly { at: number; tokens: number }[] {
  const { mirror, processes, toLocal, clock } = options;
  const view = mirror.seen(unit)?.view;
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
