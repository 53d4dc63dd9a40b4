import { KeyPoolExhaustedError } from '../core/errors.js';
import type { RetryContext, RetryDecision, RetryPolicy } from '../retry/retry-policy.js';

/**
 * Keeps a misspelled model from being answered by another one unnoticed: it fails, unless the app named its
 * fallbacks itself, which then answer after a process warning.
 */
export class UnknownModels implements RetryPolicy {
  readonly #policy: RetryPolicy;
  readonly #isReplaceable: (model: string) => boolean;
  /** Models that did not exist when they were asked. */
  readonly #unknown = new Set<string>();

  /** @param isReplaceable Whether a fallback may answer for the model if it does not exist. */
  constructor(policy: RetryPolicy, isReplaceable: (model: string) => boolean) {
    this.#policy = policy;
    this.#isReplaceable = isReplaceable;
  }

  next(context: RetryContext): RetryDecision | undefined {
    if (context.triedModels.length > 1 || !this.#isUnknown(context)) return this.#policy.next(context);
    const { failure, model } = context;
    const isNew = !this.#unknown.has(model);
    this.#unknown.add(model);
    if (!this.#isReplaceable(model)) return undefined;
    const decision = this.#policy.next(context);
    if (decision?.model !== undefined && isNew) {
      process.emitWarning(`${decision.model} answers in place of ${model}. ${failure.message}`, {
        code: 'MULTIMODAL_CHAT_MODEL',
      });
    }
    return decision;
  }

  #isUnknown({ failure, model }: RetryContext): boolean {
    if (failure.kind === 'model-unavailable' && failure.scope === 'model') return true;
    // The pool has paused the model since.
    return this.#unknown.has(model) && KeyPoolExhaustedError.isInstance(failure.cause);
  }
}
