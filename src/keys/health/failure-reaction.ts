import type { Failure, FailureScope } from '../../core/failure.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** What the pool does about a failed call: whom to leave alone, for how long, and what to give back. */
export interface Reaction {
  /** Who is left alone; `call` blames nobody. */
  readonly blame: FailureScope;
  /** For how long; `Infinity` for good; `rate` and `day` ask the quota, `breaker` the model. */
  readonly blockMs: number | 'rate' | 'day' | 'breaker';
  /** How often the blamed one may be tried again after `leaveMs`; then it is left alone for good. */
  readonly probes: number;
  /** Whether the service refused before counting the call. */
  readonly refund: boolean;
}

const nobody: Reaction = { blame: 'call', blockMs: 0, probes: 0, refund: false };
const uncounted: Reaction = { ...nobody, refund: true };
const always = Number.POSITIVE_INFINITY;

/**
 * Whom a failure is blamed on. Follows what Google says about each error: a new or repaired key and a
 * newly enabled service take minutes to be known everywhere, a leaked or restricted key stays bad.
 */
export function reactTo(failure: Failure): Reaction {
  const { kind, scope } = failure;
  switch (kind) {
    case 'rate-limit':
      if (scope === 'call') return uncounted;
      return {
        blame: scope === 'key' ? 'project-model' : scope,
        blockMs: 'rate',
        probes: always,
        refund: true,
      };
    case 'daily-quota':
      return { blame: 'project-model', blockMs: 'day', probes: always, refund: true };
    case 'no-quota':
      return { blame: 'project-model', blockMs: 24 * hourMs, probes: always, refund: true };
    case 'auth':
      if (scope === 'call') return uncounted;
      return failure.reason === 'API_KEY_INVALID'
        ? { blame: scope, blockMs: 5 * minuteMs, probes: 1, refund: true }
        : { blame: scope, blockMs: always, probes: 0, refund: true };
    case 'permission':
      return permission(failure);
    case 'billing':
      return { blame: scope === 'call' ? 'project' : scope, blockMs: hourMs, probes: always, refund: true };
    case 'model-unavailable':
      return {
        blame: scope === 'call' ? 'model' : scope,
        blockMs: 10 * minuteMs,
        probes: always,
        refund: true,
      };
    case 'overloaded':
    case 'network':
    case 'timeout':
      // Met by most calls at once these are an outage; the breaker tells it from a single bad line.
      return { blame: 'model', blockMs: 'breaker', probes: always, refund: false };
    case 'internal':
      return scope === 'call'
        ? nobody
        : { blame: 'model', blockMs: 'breaker', probes: always, refund: false };
    case 'incomplete':
    case 'invalid-request':
    case 'too-large':
    case 'blocked':
      return nobody;
  }
}

function permission(failure: Failure): Reaction {
  switch (failure.scope) {
    case 'call':
      return uncounted;
    case 'key':
      return { blame: 'key', blockMs: always, probes: 0, refund: true };
    case 'project-model':
    case 'model':
      return { blame: failure.scope, blockMs: 10 * minuteMs, probes: always, refund: true };
    case 'project':
      return failure.reason === 'SERVICE_DISABLED'
        ? { blame: 'project', blockMs: 5 * minuteMs, probes: always, refund: true }
        : { blame: 'project', blockMs: always, probes: 0, refund: true };
  }
}
