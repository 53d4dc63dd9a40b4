import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import type { Unit } from '../quota/project-model-quota.js';
import type { ModelLane } from './model-queue.js';

/** What is in the way of each key, told as one sentence with the number of keys that it concerns. */
export function explainExhaustion(
  lane: ModelLane,
  need: LeaseRequest,
  project: string | undefined,
  now: number,
): string {
  const units = lane.units.filter(
    (unit) => unit.project.keys.length > 0 && (project === undefined || unit.project.name === project),
  );
  if (units.length === 0) {
    return need.project === undefined
      ? 'The key pool has no keys. Add one with addKeys().'
      : `No key belongs to project "${need.project}", which owns a resource that the request names.`;
  }
  const breaker = lane.breaker.gate;
  if (breaker.opensAt(now) > now) {
    return `${need.model} cannot be used with any key until ${timeOf(breaker.opensAt(now), now)}: ${breaker.reason ?? ''}`;
  }
  const causes = new Map<string, number>();
  let total = 0;
  for (const unit of units) {
    for (const key of unit.project.keys) {
      const cause =
        key.gate.opensAt(now) > now
          ? `rejected by Gemini: ${key.gate.reason ?? ''}`
          : unitCause(unit, need, now);
      causes.set(cause, (causes.get(cause) ?? 0) + 1);
      total += 1;
    }
  }
  if (causes.size === 1) {
    const [cause = ''] = causes.keys();
    return sentence(total === 1 ? `The only key is ${ofOne(cause)}` : `All ${total} keys are ${cause}`);
  }
  const parts = [...causes].map(([cause, count]) =>
    count === 1 ? `1 is ${ofOne(cause)}` : `${count} are ${cause}`,
  );
  return sentence(`None of the ${total} keys can take a call to ${need.model} in time: ${parts.join('; ')}`);
}

function unitCause(unit: Unit, need: LeaseRequest, now: number): string {
  const { gate } = unit.project;
  if (gate.opensAt(now) > now) return `of a project that Gemini rejects: ${gate.reason ?? ''}`;
  if (!unit.couldFit(need.estimatedTokens)) {
    return (
      `limited to ${unit.tpm.nominal} input tokens a minute for ${unit.model}, ` +
      `and the request needs about ${need.estimatedTokens}; send less or use a key with a higher limit`
    );
  }
  if (unit.isOverDay(now)) return `over their daily quota until ${timeOf(unit.dayEnd(now), now)}`;
  if (unit.gate.opensAt(now) > now) {
    return `cooling until ${timeOf(unit.gate.opensAt(now), now)}: ${unit.gate.reason ?? ''}`;
  }
  return `at their limit for ${unit.model}`;
}

/** The refusal of a call that could start at `at`; `Infinity` when no wait helps. */
export function exhausted(message: string, at: number, now: number): KeyPoolExhaustedError {
  const retryAfterMs = at === Number.POSITIVE_INFINITY ? undefined : Math.max(0, Math.ceil(at - now));
  return new KeyPoolExhaustedError(message, { retryAfterMs });
}

function ofOne(cause: string): string {
  return cause.replace(/^(over|at) their/, '$1 its');
}

/** Longer than this ahead, a time of day alone could be taken for an earlier day's. */
const sameDayMs = 12 * 3_600_000;

function timeOf(at: number, now: number): string {
  if (at === Number.POSITIVE_INFINITY) return 'further notice';
  const [date, time = ''] = new Date(at).toISOString().split('T');
  const minute = `${time.slice(0, 5)} UTC`;
  return at - now > sameDayMs ? `${date} ${minute}` : minute;
}

function sentence(text: string): string {
  const trimmed = text.trim().replace(/:$/, '');
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
