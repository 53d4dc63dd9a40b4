import { fullShare } from './adaptive-limit.js';
import type { Unit } from './project-model-quota.js';

/** How far the joint count of units may be from the limit that they share. */
const tolerance = 0.1;

/**
 * Which other units of unlabelled keys count against the daily quota that has just refused `unit`, by the
 * evidence of their use: they were refused by the same limit, `unit` was not answered since, none has
 * asked enough to be refused for its own calls, and together they have asked just enough.
 */
export function findDailyKin(unit: Unit, units: readonly Unit[], now: number): readonly Unit[] {
  const limit = unit.rpd.nominal;
  const isPartlyUsed = (candidate: Unit) => {
    const requests = candidate.requestsToday(now);
    return requests > 0 && requests < limit * fullShare;
  };
  if (unit.project.labelled || !isPartlyUsed(unit)) return [];
  const suspects = units.filter(
    (other) =>
      other !== unit &&
      !other.project.labelled &&
      other.rpd.nominal === limit &&
      other.blockedBy === 'daily-quota' &&
      unit.answeredAt < other.dayRefusedAt &&
      isPartlyUsed(other),
  );
  const explains = (kin: readonly Unit[]) => {
    const requests = kin.reduce((sum, other) => sum + other.requestsToday(now), unit.requestsToday(now));
    return Math.abs(requests / limit - 1) <= tolerance;
  };
  if (suspects.length > 0 && explains(suspects)) return suspects;
  const pairs = suspects.filter((other) => explains([other]));
  return pairs.length === 1 ? pairs : [];
}
