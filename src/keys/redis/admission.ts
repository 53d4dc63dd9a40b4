import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import { makeRoom, refusal } from '../scheduler/queue-admission.js';
import { forecastStart } from './forecast.js';
import type { PoolDeps } from './pool-deps.js';

/** Rejects the calls that cannot start before their deadline, so that they do not wait. */
export class Admission {
  readonly #deps: PoolDeps;
  readonly #maxQueueLength: number;

  constructor(deps: PoolDeps, maxQueueLength: number) {
    this.#deps = deps;
    this.#maxQueueLength = maxQueueLength;
  }

  /** The refusal of a call that cannot be served before `at`. */
  refusal(modelQueue: ModelQueue, request: LeaseRequest, at: number): KeyPoolExhaustedError {
    const { clock, mirror } = this.#deps;
    const project = mirror.registry.projectName(request.project);
    return refusal(modelQueue, request, project, at, clock.now());
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
    if (deadline <= now) return this.refusal(modelQueue, request, now);
    if (eligible.length === 0) return this.refusal(modelQueue, request, Number.POSITIVE_INFINITY);
    const { waiters } = modelQueue;
    if (waiters.size === 0) return undefined;
    const views = eligible.flatMap((quota) => mirror.seen(quota)?.view ?? []);
    const ahead = peers.everywhere(waiters.ahead(request, since));
    const meanTokens = (waiters.meanTokens * waiters.size + tokens) / (waiters.size + 1);
    const startAt = views.length === 0 ? now : now + forecastStart(views, ahead, meanTokens);
    return makeRoom(modelQueue, request, { ahead, startAt, deadline }, this.#maxQueueLength, now);
  }
}
