import type { Clock } from '../../core/clock.js';
import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import { exhausted, explainExhaustion } from '../scheduler/exhaustion.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import { forecastStart } from './forecast.js';
import type { KeyMirror } from './key-mirror.js';
import type { PeerProcesses } from './peer-processes.js';

/** Says which calls need not even wait, and why. */
export class Admission {
  readonly #mirror: KeyMirror;
  readonly #peers: PeerProcesses;
  readonly #clock: Clock;
  readonly #maxQueueLength: number;

  constructor(mirror: KeyMirror, peers: PeerProcesses, clock: Clock, maxQueueLength: number) {
    this.#mirror = mirror;
    this.#peers = peers;
    this.#clock = clock;
    this.#maxQueueLength = maxQueueLength;
  }

  /** The refusal of a call that cannot be served before `at`. */
  refusal(modelQueue: ModelQueue, request: LeaseRequest, at: number): KeyPoolExhaustedError {
    const now = this.#clock.now();
    const message = explainExhaustion(
      modelQueue,
      request,
      this.#mirror.registry.projectName(request.project),
      now,
    );
    return exhausted(message, at, now);
  }

  /** Why the call is turned away, if it is. Makes room for it where others give way. */
  check(
    modelQueue: ModelQueue,
    request: LeaseRequest,
    tokens: number,
    since: number,
    deadline: number,
  ): KeyPoolExhaustedError | undefined {
    const now = this.#clock.now();
    const eligible = modelQueue.eligible(request, this.#mirror.registry.projectName(request.project));
    if (deadline <= now) return this.refusal(modelQueue, request, now);
    if (eligible.length === 0) return this.refusal(modelQueue, request, Number.POSITIVE_INFINITY);
    const { waiters: queue } = modelQueue;
    if (queue.size === 0) return undefined;
    const views = eligible.flatMap((quota) => this.#mirror.seen(quota)?.view ?? []);
    const ahead = this.#peers.everywhere(queue.ahead(request, since));
    const meanTokens = (queue.meanTokens * queue.size + tokens) / (queue.size + 1);
    const startAt = views.length === 0 ? now : now + forecastStart(views, ahead, meanTokens);
    if (startAt > deadline) {
      const message = `${ahead} calls wait for ${request.model} already, more than its quotas admit before the deadline. Retry later, or add keys of further projects.`;
      return exhausted(message, startAt, now);
    }
    if (queue.size < this.#maxQueueLength) return undefined;
    const error = exhausted(`The queue for ${request.model} is full. Retry later.`, startAt, now);
    const victim = queue.victimFor(request);
    if (victim === undefined) return error;
    queue.remove(victim);
    victim.reject(error);
    return undefined;
  }
}
