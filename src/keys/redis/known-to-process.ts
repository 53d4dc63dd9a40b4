import type { Unit } from '../quota/project-model-quota.js';
import { remaining } from './hydrate.js';
import type { KeyMirror } from './key-mirror.js';
import type { LedgerLayout } from './ledger-layout.js';
import type { KnownToProcess } from './ledger-view.js';

/** Everything that a ledger without data has to be told. */
export function knownToProcess(
  mirror: KeyMirror,
  layout: LedgerLayout,
  units: readonly Unit[],
  dayEnd: number,
  now: number,
): KnownToProcess {
  const calls = mirror.calls.of(units);
  const gates = units.flatMap(({ project }) => [
    ...project.keys.map((key) => ({ id: layout.keyId(key), gate: key.gate, strikes: key.strikes })),
    { id: layout.projectId(project), gate: project.gate, strikes: project.strikes },
  ]);
  return {
    gates: Object.fromEntries(
      gates
        .filter(({ gate }) => gate.closedUntil > now)
        .map(({ id, gate, strikes }) => [id, { after: remaining(gate, now), strikes }]),
    ),
    units: units.map((unit, place) => {
      const seen = mirror.seen(unit);
      return {
        learned: learnedLimits(unit),
        day: seen?.view.day ?? 0,
        dayEnd,
        seenAt: seen?.at ?? 0,
        calls: (calls[place] ?? []).map(({ id, at, tokens }) => [id, at, tokens] as const),
        ...(unit.gate.closedUntil > now && unit.gate.closedUntil < Number.POSITIVE_INFINITY
          ? { closedFor: remaining(unit.gate, now), why: unit.blockedBy }
          : {}),
      };
    }),
  };
}

function learnedLimits(unit: Unit): Record<string, number> {
  const learned: Record<string, number> = {};
  for (const metric of ['rpm', 'tpm', 'rpd'] as const) {
    if (unit[metric].origin === 'learned') learned[metric] = unit[metric].nominal;
  }
  return learned;
}
