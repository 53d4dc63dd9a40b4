import type { FailureKind, FailureScope } from '../../../core/failure.js';
import type { ErrorFacts } from './error-facts.js';

/** What a reply means: the first rule whose condition holds decides. */
export interface FailureRule {
  readonly when: (facts: ErrorFacts) => boolean;
  readonly kind: FailureKind;
  readonly scope: FailureScope;
  /** Replaces the reply's own reason. */
  readonly reason?: string;
  /** How long to wait if the reply does not say. */
  readonly retryAfterMs?: number;
  /** What happened and what to do, without a full stop: the reply's own words follow in brackets. */
  readonly message: string;
}

/** Holds for errors of Google itself, and not for those of a server in front of Gemini. */
export const google = (facts: ErrorFacts) => facts.isGoogle;
/** Holds for errors of a server in front of Gemini. */
export const gateway = (facts: ErrorFacts) => !facts.isGoogle;
/** Holds for these HTTP statuses. */
export const status =
  (...statuses: readonly number[]) =>
  (facts: ErrorFacts) =>
    facts.status !== undefined && statuses.includes(facts.status);
/** Holds for these codes of `google.rpc.ErrorInfo`. */
export const reason =
  (...reasons: readonly string[]) =>
  (facts: ErrorFacts) =>
    facts.reason !== undefined && reasons.includes(facts.reason);
/** Holds if the reply's sentence matches. */
export const sentence = (pattern: RegExp) => (facts: ErrorFacts) => pattern.test(facts.message);
/** Holds if every condition does. */
export const all =
  (...conditions: readonly FailureRule['when'][]) =>
  (facts: ErrorFacts) =>
    conditions.every((condition) => condition(facts));
/** Holds if one of the conditions does. */
export const any =
  (...conditions: readonly FailureRule['when'][]) =>
  (facts: ErrorFacts) =>
    conditions.some((condition) => condition(facts));
