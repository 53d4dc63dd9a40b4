import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from './model-queue.js';

/** Why no key can serve the call, in one sentence with the number of keys for each cause. */
export function explainExhaustion(
  modelQueue: ModelQueue,
  request: LeaseRequest,
  project: string | undefined,
  now: number,
): string {
  const quotas = modelQueue.quotas.filter(
    (quota) => quota.project.keys.length > 0 && (project === undefined || quota.project.name === project),
  );
  if (quotas.length === 0) {
    return request.project === undefined
      ? 'The key pool has no keys. Add one with addKeys().'
      : `No key belongs to project "${request.project}", which owns a resource that the request names.`;
  }
  const timeOf = (at: number) => dateOf(at, now, modelQueue.wallAheadMs());
  const breaker = modelQueue.breaker.gate;
  if (breaker.allowsAt(now) > now) {
    return `${request.model} cannot be used with any key until ${timeOf(breaker.allowsAt(now))}: ${breaker.reason ?? ''}`;
  }
  const causes = new Map<string, number>();
  let total = 0;
  for (const quota of quotas) {
    for (const key of quota.project.keys) {
      const cause =
        key.gate.allowsAt(now) > now
          ? `rejected by Gemini: ${key.gate.reason ?? ''}`
          : quotaCause(quota, request, now, timeOf);
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
  return sentence(
    `None of the ${total} keys can take a call to ${request.model} in time: ${parts.join('; ')}`,
  );
}

function quotaCause(
  quota: ProjectModelQuota,
  request: LeaseRequest,
  now: number,
  timeOf: (at: number) => string,
): string {
  const { gate } = quota.project;
  if (gate.allowsAt(now) > now) return `of a project that Gemini rejects: ${gate.reason ?? ''}`;
  if (!quota.couldFit(request.estimatedTokens)) {
    return (
      `limited to ${quota.limits.tpm.nominal} input tokens a minute for ${quota.model}, ` +
      `and the request needs about ${request.estimatedTokens}; send less or use a key with a higher limit`
    );
  }
  if (quota.isOverDay(now)) return `over their daily quota until ${timeOf(quota.dayEnd(now))}`;
  if (quota.gate.allowsAt(now) > now) {
    return `cooling until ${timeOf(quota.gate.allowsAt(now))}: ${quota.gate.reason ?? ''}`;
  }
  return `at their limit for ${quota.model}`;
}

/**
 * The error for a call that could start at `at`; `Infinity` when waiting does not help.
 *
 * @param patience How long the call could have waited; the error says so if that was not the reason.
 */
export function exhausted(
  message: string,
  at: number,
  now: number,
  patience?: { readonly maxWaitMs: number; readonly deadline: number; readonly wallAheadMs: number },
): KeyPoolExhaustedError {
  if (at === Number.POSITIVE_INFINITY) return new KeyPoolExhaustedError(message);
  const retryAfterMs = Math.max(0, Math.ceil(at - now));
  const isImpatient = patience !== undefined && patience.deadline > now && patience.deadline >= at;
  const hint = ` Retry after ${dateOf(at, now, patience?.wallAheadMs ?? 0)}: a call waits at most ${(patience?.maxWaitMs ?? 0) / 1_000} s for quota (maxWaitMs), and not for a rejected key.`;
  return new KeyPoolExhaustedError(isImpatient ? message + hint : message, { retryAfterMs });
}

function ofOne(cause: string): string {
  return cause.replace(/^(over|at) their/, '$1 its');
}

/** Further ahead than this, a time needs its date. */
const sameDayMs = 12 * 3_600_000;

function dateOf(at: number, now: number, wallAheadMs: number): string {
  if (at === Number.POSITIVE_INFINITY) return 'further notice';
  const [date, time = ''] = new Date(at + wallAheadMs).toISOString().split('T');
  const minute = `${time.slice(0, 5)} UTC`;
  return at - now > sameDayMs ? `${date} ${minute}` : minute;
}

function sentence(text: string): string {
  const trimmed = text.trim().replace(/:$/, '');
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
