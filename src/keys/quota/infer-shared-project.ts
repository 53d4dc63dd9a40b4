import { fullShare } from './adaptive-limit.js';
import type { ProjectModelQuota } from './project-model-quota.js';

/** How far the joint count may be from the shared limit. */
const tolerance = 0.1;

/**
 * Other quotas of unlabelled keys that share the daily limit which has just refused `quota`, judged by
 * their use: the same limit refused them, `quota` answered no call since, none has used the limit up
 * alone, and together they have just done so.
 */
export function inferSharedProject(
  quota: ProjectModelQuota,
  quotas: readonly ProjectModelQuota[],
  now: number,
): readonly ProjectModelQuota[] {
  const limit = quota.limits.rpd.nominal;
  const isPartlyUsed = (candidate: ProjectModelQuota) => {
    const requests = candidate.requestsToday(now);
    return requests > 0 && requests < limit * fullShare;
  };
  if (quota.project.labelled || !isPartlyUsed(quota)) return [];
  const suspects = quotas.filter(
    (other) =>
      other !== quota &&
      !other.project.labelled &&
      other.limits.rpd.nominal === limit &&
      other.gate.why === 'daily-quota' &&
      quota.facts.answeredAt < other.facts.dayRefusedAt &&
      isPartlyUsed(other),
  );
  const explains = (others: readonly ProjectModelQuota[]) => {
    const requests = others.reduce((sum, other) => sum + other.requestsToday(now), quota.requestsToday(now));
    return Math.abs(requests / limit - 1) <= tolerance;
  };
  if (suspects.length > 0 && explains(suspects)) return suspects;
  const single = suspects.filter((other) => explains([other]));
  return single.length === 1 ? single : [];
}
