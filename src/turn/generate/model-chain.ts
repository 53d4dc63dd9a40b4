import type { Failure } from '../../core/failure.js';
import type { RetryContext, RetryDecision } from '../../retry/retry-policy.js';
import type { GenerationDeps, GenerationRequest } from './generation.js';

type ModelChainStart = Pick<GenerationDeps, 'clock' | 'retry'> &
  Pick<GenerationRequest, 'deadline' | 'request' | 'startedAt'>;

/** The models that are asked, one after the other: counts the faults of each, and asks the policy what follows one. */
export class ModelChain {
  readonly #start: ModelChainStart;
  readonly #tried: string[];
  #model: string;
  /** Failed attempts at the current model that the pool does not route around. */
  #counted = 0;
  #firstFault: Failure | undefined;
  /** What the policy was asked about since the answer began or went on. */
  #faults: readonly Failure[] = [];
  #lastFault: Failure | undefined;

  constructor(start: ModelChainStart) {
    this.#start = start;
    this.#model = start.request.model;
    this.#tried = [start.request.model];
  }

  /** The model of the next attempt. */
  get model(): string {
    return this.#model;
  }

  /** Models that were asked, the current one included. */
  get tried(): readonly string[] {
    return this.#tried;
  }

  /** What the policy was asked about last. */
  get lastFault(): Failure | undefined {
    return this.#lastFault;
  }

  /** Why the model that was asked for did not answer, now that `last` ends the chain. */
  faultBefore(last: Failure): Failure {
    return this.#firstFault ?? last;
  }

  count(failures: number): void {
    this.#counted += failures;
  }

  /** The current model has answered, and is asked to go on. */
  countAnew(): void {
    this.#counted = 0;
    this.#faults = [];
  }

  /**
   * What the policy says about a failure; undefined gives up, also if it would wait beyond the deadline.
   *
   * @param isBound Whether only the current model can go on with what was shown of the answer.
   */
  decide(
    failed: Pick<RetryContext, 'failure' | 'hasEmittedText' | 'isRoutedByPool'>,
    isBound: boolean,
  ): RetryDecision | undefined {
    const { clock, deadline, retry, startedAt } = this.#start;
    const context: RetryContext = {
      ...failed,
      model: this.#model,
      triedModels: this.#tried,
      attempt: this.#counted,
      earlierFailures: this.#faults,
      elapsedMs: clock.now() - startedAt,
      isBound,
    };
    this.#lastFault = failed.failure;
    this.#faults = [...this.#faults, failed.failure];
    let decision = retry.next(context);
    // Another model starts the answer again, so that what was shown is discarded.
    if (isBound && this.#isOther(decision?.model))
      decision = retry.next({ ...context, hasEmittedText: true });
    if (decision === undefined || clock.now() + decision.delayMs >= deadline) return undefined;
    if (decision.model !== undefined && this.#isOther(decision.model))
      this.#switchTo(decision.model, failed.failure);
    return decision;
  }

  #isOther(model: string | undefined): boolean {
    return model !== undefined && model !== this.#model;
  }

  #switchTo(model: string, failure: Failure): void {
    this.#firstFault ??= failure;
    this.#model = model;
    this.#counted = 0;
    this.#tried.push(model);
  }
}
