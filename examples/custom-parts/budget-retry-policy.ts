import type { FailureKind, RetryContext, RetryDecision, RetryPolicy } from 'multimodal-chat';

export interface BudgetRetryPolicyOptions {
  /** How long one call may go on trying. */
  readonly budgetMs: number;
  /** Between two attempts. */
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

/**
 * For work that may take all night: goes on at a steady pace until the budget is spent, and never
 * settles for another model. `BackoffRetryPolicy` is the one for people who wait.
 */
export class BudgetRetryPolicy implements RetryPolicy {
  readonly #options: BudgetRetryPolicyOptions;

  constructor(options: BudgetRetryPolicyOptions) {
    this.#options = options;
  }

  next({ failure, elapsedMs }: RetryContext): RetryDecision | undefined {
    const { budgetMs, paceMs } = this.#options;
    if (lasting.includes(failure.kind)) return undefined;
    // A bad key or a spent quota is the pool's to route around: the next key may serve at once.
    const delayMs = failure.scope === 'key' || failure.scope === 'project-model' ? 0 : paceMs;
    return elapsedMs + delayMs < budgetMs ? { delayMs } : undefined;
  }
}
