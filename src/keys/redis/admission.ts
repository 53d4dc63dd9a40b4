import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import { exhausted, explainExhaustion } from '../scheduler/exhaustion.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import { latestTurn, makeRoom, type QueueLimits } from '../scheduler/queue-admission.js';
import type { Waiter } from '../scheduler/wait-queue.js';
import { forecastStart } from './forecast.js';
import type { PoolDeps } from './pool-deps.js';

/** Rejects the calls that cannot start before their deadline, so that they do not wait. */
export class Admission {
  readonly #deps: PoolDeps;
  readonly #limits: QueueLimits;

  constructor(deps: PoolDeps, limits: QueueLimits) {
    this.#deps = deps;
    this.#limits = limits;
  }

  /** The refusal of a call that cannot be served before `at`. */
  refusal(
    modelQueue: ModelQueue,
    { request, deadline }: Pick<Waiter, 'request' | 'deadline'>,
    at: number,
  ): KeyPoolExhaustedError {
    const { clock, mirror } = this.#deps;
    const now = clock.now();
    const message = explainExhaustion(modelQueue, request, mirror.registry.projectName(request.project), now);
    return exhausted(message, at, now, { maxWaitMs: this.#limits.maxWaitMs, deadline });
  }

  /** Why the call may not wait; `undefined` if it may. */
  check(
    modelQueue: ModelQueue,
    request: LeaseRequest,
    tokens: number,
    since: number,
    deadline: number,
  ): KeyPoolExhaustedError | undefined {
    const { clock, mirror, peers } = this.#deps;
    const now = clock.now();
    const eligible = modelQueue.eligible(request, mirror.registry.projectName(request.project));
    const call = { request, deadline };
    if (deadline <= now) return this.refusal(modelQueue, call, now);
    if (eligible.length === 0) return this.refusal(modelQueue, call, Number.POSITIVE_INFINITY);
    const { waiters } = modelQueue;
    if (waiters.size === 0) return undefined;
    const views = eligible.flatMap((quota) => mirror.seen(quota)?.view ?? []);
    const ahead = peers.everywhere(waiters.ahead(request, since));
    const meanTokens = (waiters.meanTokens * waiters.size + tokens) / (waiters.size + 1);
    const startAt = views.length === 0 ? now : now + forecastStart(views, ahead, meanTokens);
    const expected = { ahead, startAt, deadline: latestTurn(request, deadline, now) };
    return makeRoom(modelQueue, request, expected, this.#limits.maxQueueLength, now);
  }
}
