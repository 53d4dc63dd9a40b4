import type { FailureKind, RetryContext, RetryDecision, RetryPolicy } from 'multimodal-chat';

export interface BudgetRetryPolicyOptions {
  /** How long one call may go on, in milliseconds. */
  readonly budgetMs: number;
  /** Pause between two attempts, in milliseconds. */
  readonly paceMs: number;
}

/** Failures that another attempt would meet again. */
const lasting: readonly FailureKind[] = [
  'blocked',
  'invalid-request',
  'too-large',
  'model-unavailable',
  'billing',
];
const lastingReasons: readonly (string | undefined)[] = ['MAX_TOKENS', 'FIRST_TOKEN', 'TOTAL'];

/**
 * For batch work: retries at a steady pace until the budget is spent, and never falls back to another
 * model. For interactive use, take `BackoffRetryPolicy`.
 */
export class BudgetRetryPolicy implements RetryPolicy {
  readonly #options: BudgetRetryPolicyOptions;

  constructor(options: BudgetRetryPolicyOptions) {
    this.#options = options;
  }

  next({ elapsedMs, failure, isRoutedByPool }: RetryContext): RetryDecision | undefined {
    const { budgetMs, paceMs } = this.#options;
    if (lasting.includes(failure.kind) || lastingReasons.includes(failure.reason)) return undefined;
    const delayMs = isRoutedByPool ? 0 : paceMs;
    return elapsedMs + delayMs < budgetMs ? { delayMs } : undefined;
  }
}
