import type { Clock } from '../../core/clock.js';
import type { KeyPoolExhaustedError } from '../../core/errors.js';
import type { LeaseRequest } from '../key-pool.js';
import { exhausted, explainExhaustion } from '../scheduler/exhaustion.js';
import type { ModelLane } from '../scheduler/model-queue.js';
import { forecastStart } from './forecast.js';
import type { KeyMirror } from './key-mirror.js';
import type { Rivals } from './rivals.js';

/** Says which calls need not even wait, and why. */
export class Admission {
  readonly #mirror: KeyMirror;
  readonly #rivals: Rivals;
  readonly #clock: Clock;
  readonly #maxQueueLength: number;

  constructor(mirror: KeyMirror, rivals: Rivals, clock: Clock, maxQueueLength: number) {
    this.#mirror = mirror;
    this.#rivals = rivals;
    this.#clock = clock;
    this.#maxQueueLength = maxQueueLength;
  }

  /** The refusal of a call that cannot be served before `at`. */
  refusal(lane: ModelLane, need: LeaseRequest, at: number): KeyPoolExhaustedError {
    const now = this.#clock.now();
    const message = explainExhaustion(lane, need, this.#mirror.ring.projectName(need.project), now);
    return exhausted(message, at, now);
  }

  /** Why the call is turned away, if it is. Makes room for it where others give way. */
  check(
    lane: ModelLane,
    need: LeaseRequest,
    tokens: number,
    since: number,
    deadline: number,
  ): KeyPoolExhaustedError | undefined {
    const now = this.#clock.now();
    const eligible = lane.eligible(need, this.#mirror.ring.projectName(need.project));
    if (deadline <= now) return this.refusal(lane, need, now);
    if (eligible.length === 0) return this.refusal(lane, need, Number.POSITIVE_INFINITY);
    const { queue } = lane;
    if (queue.size === 0) return undefined;
    const views = eligible.flatMap((unit) => this.#mirror.seen(unit)?.view ?? []);
    const ahead = this.#rivals.everywhere(queue.ahead(need, since));
    const meanTokens = (queue.meanTokens * queue.size + tokens) / (queue.size + 1);
    const startAt = views.length === 0 ? now : now + forecastStart(views, ahead, meanTokens);
    if (startAt > deadline) {
      const message = `${ahead} calls wait for ${need.model} already, more than its quotas admit before the deadline. Retry later, or add keys of further projects.`;
      return exhausted(message, startAt, now);
    }
    if (queue.size < this.#maxQueueLength) return undefined;
    const error = exhausted(`The queue for ${need.model} is full. Retry later.`, startAt, now);
    const victim = queue.victimFor(need);
    if (victim === undefined) return error;
    queue.remove(victim);
    victim.reject(error);
    return undefined;
  }
}
