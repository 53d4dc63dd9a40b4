import { fullShare } from './adaptive-limit.js';
import type { ProjectModelQuota } from './project-model-quota.js';

/** How far the joint count of quotas may be from the limit that they share. */
const tolerance = 0.1;

/**
 * Which other quotas of unlabelled keys count against the daily quota that has just refused `quota`, by the
 * evidence of their use: they were refused by the same limit, `quota` was not answered since, none has
 * asked enough to be refused for its own calls, and together they have asked just enough.
 */
export function inferSharedProject(
  quota: ProjectModelQuota,
  quotas: readonly ProjectModelQuota[],
  now: number,
): readonly ProjectModelQuota[] {
  const limit = quota.rpd.nominal;
  const isPartlyUsed = (candidate: ProjectModelQuota) => {
    const requests = candidate.requestsToday(now);
    return requests > 0 && requests < limit * fullShare;
  };
  if (quota.project.labelled || !isPartlyUsed(quota)) return [];
  const suspects = quotas.filter(
    (other) =>
      other !== quota &&
      !other.project.labelled &&
      other.rpd.nominal === limit &&
      other.blockedBy === 'daily-quota' &&
      quota.answeredAt < other.dayRefusedAt &&
      isPartlyUsed(other),
  );
  const explains = (kin: readonly ProjectModelQuota[]) => {
    const requests = kin.reduce((sum, other) => sum + other.requestsToday(now), quota.requestsToday(now));
    return Math.abs(requests / limit - 1) <= tolerance;
  };
  if (suspects.length > 0 && explains(suspects)) return suspects;
  const pairs = suspects.filter((other) => explains([other]));
  return pairs.length === 1 ? pairs : [];
}
