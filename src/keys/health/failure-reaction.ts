import { type Failure, type FailureKind, type FailureScope, isRoutedByPool } from '../../core/failure.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** What the pool does about a failed call. */
export interface Reaction {
  /** What is blocked; `call` blocks nothing. */
  readonly blame: FailureScope;
  /** For how long; `Infinity` is for good. `rate` and `day` leave it to the quota, `breaker` to the model's breaker. */
  readonly blockMs: number | 'rate' | 'day' | 'breaker';
  /** Failed probes after which it is tried only once an hour. */
  readonly probes: number;
  /** Whether the service refused the call before counting it. */
  readonly refund: boolean;
}

const always = Number.POSITIVE_INFINITY;
const blameless: Reaction = { blame: 'call', blockMs: 0, probes: 0, refund: false };
const breaker: Reaction = { blame: 'model', blockMs: 'breaker', probes: always, refund: false };

/**
 * What a failure is blamed on. Follows Google's documentation of each error: a new or repaired key and a
 * newly enabled service take minutes to be known everywhere, a leaked or restricted key stays bad.
 */
export function reactTo(failure: Failure): Reaction {
  const { kind, scope } = failure;
  switch (kind) {
    case 'overloaded':
    case 'network':
    case 'timeout':
      // An outage if most calls fail like this. The breaker tells it from one bad connection.
      return breaker;
    case 'internal':
      return scope === 'call' ? blameless : breaker;
    case 'model-unavailable':
      return block(scope === 'call' ? 'model' : scope, 10 * minuteMs);
    case 'incomplete':
    case 'invalid-request':
    case 'too-large':
    case 'blocked':
      return blameless;
    default:
      return isRoutedByPool(failure) || scope === 'model'
        ? refusal(kind, failure)
        : { ...blameless, refund: true };
  }
}

function refusal(
  kind: 'rate-limit' | 'daily-quota' | 'no-quota' | 'auth' | 'permission' | 'billing',
  { scope, reason }: Failure,
): Reaction {
  switch (kind) {
    case 'rate-limit':
      // Quotas count per project, so a refusal of a key speaks for its project.
      return block(scope === 'key' ? 'project-model' : scope, 'rate');
    case 'daily-quota':
      return block('project-model', 'day');
    case 'no-quota':
      return block('project-model', 24 * hourMs);
    case 'auth':
      return reason === 'API_KEY_LEAKED' ? block(scope, always, 0) : block(scope, 5 * minuteMs, 1);
    case 'permission':
      if (scope === 'project-model' || scope === 'model') return block(scope, 10 * minuteMs);
      return reason === 'SERVICE_DISABLED' && scope === 'project'
        ? block(scope, 5 * minuteMs)
        : block(scope, hourMs);
    case 'billing':
      return block(scope, hourMs);
  }
}

function block(blame: FailureScope, blockMs: Reaction['blockMs'], probes = always): Reaction {
  return { blame, blockMs, probes, refund: true };
}

/** The first own probe of the pool comes after this. Keys that Google rejects by mistake work again by then. */
const firstProbeMs = 30_000;

/**
 * For how long a key or project is blocked that was rejected `strikes` times since it last worked.
 *
 * @param hasProbe Whether the pool tries it by itself, which costs no call: then earlier, and never for good.
 */
export function rejectedForMs({ blockMs, probes }: Reaction, strikes: number, hasProbe: boolean): number {
  const longestMs = strikes > probes ? Math.max(hourMs, Number(blockMs)) : Number(blockMs);
  if (!hasProbe) return longestMs;
  return Math.min(hourMs, longestMs, firstProbeMs * 2 ** (strikes - 1));
}

/** Kinds of failures that last until somebody repairs their cause. */
const rejections: ReadonlySet<FailureKind> = new Set([
  'auth',
  'permission',
  'billing',
  'no-quota',
  'model-unavailable',
]);

/** Whether the service rejects what caused the failure until somebody repairs it, so that waiting does not help. */
export function isRejection(kind: FailureKind | undefined): boolean {
  return kind !== undefined && rejections.has(kind);
}
