import { ExponentialBackoff } from '../../core/backoff.js';
import { type Clock, sleep } from '../../core/clock.js';
import { MemoryError } from '../../core/errors.js';
import type { MemoryStore } from '../memory-store.js';
import type { TurnOutbox, WaitingTurn } from './turn-outbox.js';

const largestBatch = 100;
const pauses = { initialMs: 500, maxMs: 30_000 };
/** How often this looks for turns of processes that have ended. */
const lookEveryMs = 15_000;
/** Poll interval while another process delivers. */
const pollMs = 20;

/** Brings waiting turns to the store, oldest first, one process at a time. */
export class Delivery {
  readonly #outbox: TurnOutbox;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  /** Turns that the store refuses although it takes others; skipped until the next start. */
  readonly #refused = new Map<number, unknown>();
  readonly #backoff = new ExponentialBackoff(pauses);
  /** Deliveries and deletions, one at a time. */
  #lastWork: Promise<unknown> = Promise.resolve();
  #isScheduled = false;
  #isClosed = false;
  #pause: unknown;
  #look: unknown;

  constructor(outbox: TurnOutbox, store: MemoryStore, clock: Clock) {
    this.#outbox = outbox;
    this.#store = store;
    this.#clock = clock;
    this.#lookAgain();
  }

  /** Starts delivering, unless it pauses after a failure. */
  wake(): void {
    if (this.#isScheduled || this.#isClosed || this.#pause !== undefined) return;
    this.#isScheduled = true;
    const started = () => {
      this.#isScheduled = false;
      return this.#deliverAll();
    };
    this.#alone(started).catch(() => this.#wakeLater());
  }

  /** Resolves when every turn that waits is in the store. */
  async drain(): Promise<void> {
    this.#clearPause();
    try {
      while (!(await this.#alone(() => this.#deliverAll()))) await sleep(this.#clock, pollMs);
    } catch (cause) {
      this.#wakeLater();
      throw new MemoryError(
        `Some turns are on the local disk but not on the server yet; they are delivered later. ${(cause as Error).message}`,
        { cause },
      );
    }
    const [refusal] = this.#refused.values();
    if (refusal === undefined) return;
    throw new MemoryError(
      `The store refuses ${this.#refused.size} turns, which stay in the outbox. ${(refusal as Error).message}`,
      { cause: refusal },
    );
  }

  /** Runs the work while no process delivers: a delivery under way would arrive after a deletion. */
  async pausedDuring<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await this.#alone(async () => {
        while (!(await this.#outbox.lead({ isUrgent: true }))) await sleep(this.#clock, pollMs, signal);
        try {
          return await work();
        } finally {
          await this.#outbox.yield();
        }
      });
    } finally {
      this.wake();
    }
  }

  /** Starts no more batches; resolves after the present one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#clearPause();
    this.#clock.clearTimeout(this.#look);
    await this.#lastWork;
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lastWork.then(work);
    this.#lastWork = result.catch(() => undefined);
    return result;
  }

  /** False if another process delivers. */
  async #deliverAll(): Promise<boolean> {
    while (!this.#isClosed) {
      const found = await this.#outbox.next(largestBatch + this.#refused.size);
      const batch = found.filter(({ position }) => !this.#refused.has(position)).slice(0, largestBatch);
      if (batch.length === 0) break;
      if (!(await this.#outbox.lead())) {
        this.#wakeLater();
        return false;
      }
      await this.#deliver(batch);
      this.#backoff.reset();
    }
    await this.#outbox.yield();
    return true;
  }

  async #deliver(batch: readonly WaitingTurn[]): Promise<void> {
    const failed = await this.#append(batch);
    if (failed.length === batch.length) throw failed[0]?.reason;
    // The store takes others, so a turn that fails twice is refused.
    for (const { waiting } of failed) {
      for (const { reason } of await this.#append([waiting])) this.#refused.set(waiting.position, reason);
    }
  }

  /** Removes what was stored; resolves with the rest. */
  async #append(batch: readonly WaitingTurn[]) {
    const outcomes = await Promise.allSettled(
      batch.map(({ acceptedAt, turn }) => this.#store.append(turn, { acceptedAt })),
    );
    await this.#outbox.remove(batch.filter((_, at) => outcomes[at]?.status === 'fulfilled'));
    return outcomes.flatMap((outcome, at) =>
      outcome.status === 'rejected' ? [{ waiting: batch[at] as WaitingTurn, reason: outcome.reason }] : [],
    );
  }

  #wakeLater(): void {
    if (this.#isClosed || this.#pause !== undefined) return;
    const resume = () => {
      this.#pause = undefined;
      this.wake();
    };
    const delayMs = this.#backoff.next() * (0.5 + Math.random() / 2);
    this.#pause = this.#clock.setTimeout(resume, delayMs, { isBackground: true });
  }

  #clearPause(): void {
    if (this.#pause !== undefined) this.#clock.clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  #lookAgain(): void {
    this.wake();
    this.#look = this.#clock.setTimeout(() => this.#lookAgain(), lookEveryMs, { isBackground: true });
  }
}
