import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { remaining } from './hydrate.js';
import type { KeyMirror } from './key-mirror.js';
import type { LedgerLayout } from './ledger-layout.js';
import type { RecoverySnapshot } from './ledger-view.js';

/** The state that a ledger without data is filled with. */
export function recoverySnapshot(
  mirror: KeyMirror,
  layout: LedgerLayout,
  quotas: readonly ProjectModelQuota[],
  dayEnd: number,
  now: number,
): RecoverySnapshot {
  const calls = mirror.calls.of(quotas);
  const gates = quotas.flatMap(({ project }) => [
    ...project.keys.map((key) => ({ id: layout.keyId(key), gate: key.gate, strikes: key.strikes })),
    { id: layout.projectId(project), gate: project.gate, strikes: project.strikes },
  ]);
  return {
    gates: Object.fromEntries(
      gates
        .filter(({ gate }) => gate.blockedUntil > now)
        .map(({ id, gate, strikes }) => [id, { after: remaining(gate, now), strikes }]),
    ),
    quotas: quotas.map((quota, place) => {
      const seen = mirror.seen(quota);
      return {
        learned: learnedLimits(quota),
        day: seen?.view.day ?? 0,
        dayEnd,
        seenAt: seen?.at ?? 0,
        calls: (calls[place] ?? []).map(({ id, at, tokens }) => [id, at, tokens] as const),
        ...(quota.gate.blockedUntil > now && quota.gate.blockedUntil < Number.POSITIVE_INFINITY
          ? { closedFor: remaining(quota.gate, now), why: quota.blockedBy }
          : {}),
      };
    }),
  };
}

function learnedLimits(quota: ProjectModelQuota): Record<string, number> {
  const learned: Record<string, number> = {};
  for (const metric of ['rpm', 'tpm', 'rpd'] as const) {
    if (quota[metric].origin === 'learned') learned[metric] = quota[metric].nominal;
  }
  return learned;
}
