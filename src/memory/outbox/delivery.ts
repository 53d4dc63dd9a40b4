import { ExponentialBackoff } from '../../core/backoff.js';
import { type Clock, sleep } from '../../core/clock.js';
import { MemoryError } from '../../core/errors.js';
import type { MemoryStore } from '../memory-store.js';
import { conversationKey } from '../shared/conversation-key.js';
import type { TurnOutbox, WaitingTurn } from './turn-outbox.js';

const largestBatch = 100;
const pauses = { initialMs: 500, maxMs: 30_000 };
/** How often this looks for turns of processes that have ended. */
const lookEveryMs = 15_000;
/** Poll interval while another process delivers. */
const pollMs = 20;

/** A turn that fails this often, while the store takes others, is refused. */
const mostTries = 5;

interface Failure {
  readonly waiting: WaitingTurn;
  readonly reason: unknown;
}

/** Brings waiting turns to the store, oldest first, one process at a time. */
export class Delivery {
  readonly #outbox: TurnOutbox;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  /** Turns that the store refuses although it takes others; skipped until the next start. */
  readonly #refused = new Map<number, unknown>();
  /** How often each turn failed that is not in the store yet. */
  readonly #tries = new Map<number, number>();
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
      while (!(await this.#alone(() => this.#deliverPatiently()))) await sleep(this.#clock, pollMs);
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

  /** Tells at once whether the store is down or refuses a turn. */
  async #deliverPatiently(): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#deliverAll();
      } catch (error) {
        if (tries === mostTries) throw error;
      }
    }
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

  /** The turns of a conversation one after the other, so that a failure does not change their order. */
  async #deliver(batch: readonly WaitingTurn[]): Promise<void> {
    const byConversation = new Map<string, WaitingTurn[]>();
    for (const waiting of batch) {
      const key = conversationKey(waiting.turn);
      byConversation.set(key, [...(byConversation.get(key) ?? []), waiting]);
    }
    const delivered: WaitingTurn[] = [];
    const failures: Failure[] = [];
    const deliverInOrder = async (turns: readonly WaitingTurn[]) => {
      for (const waiting of turns) {
        const failure = await this.#append(waiting);
        if (failure) return failures.push(failure);
        delivered.push(waiting);
      }
    };
    await Promise.all([...byConversation.values()].map(deliverInOrder));
    for (const failure of failures) {
      const { position } = failure.waiting;
      const tries = (this.#tries.get(position) ?? 0) + 1;
      this.#tries.set(position, tries);
      if (tries < mostTries) continue;
      const isAmongOthers = delivered.length > 0 || (await this.#takesAnother(batch, failures, delivered));
      if (isAmongOthers) this.#refused.set(position, failure.reason);
    }
    await this.#outbox.remove(delivered);
    for (const { position } of delivered) this.#tries.delete(position);
    const [first] = failures;
    if (first && delivered.length === 0) throw first.reason;
  }

  /** Whether the store takes a turn that comes after those it does not take. */
  async #takesAnother(
    batch: readonly WaitingTurn[],
    failures: readonly Failure[],
    delivered: WaitingTurn[],
  ): Promise<boolean> {
    const other = batch.find((each) => failures.every(({ waiting }) => waiting !== each));
    if (!other || (await this.#append(other))) return false;
    delivered.push(other);
    return true;
  }

  async #append(waiting: WaitingTurn): Promise<Failure | undefined> {
    try {
      await this.#store.append(waiting.turn, {
        acceptedAt: waiting.acceptedAt,
        replace: waiting.replace,
      });
      return undefined;
    } catch (reason) {
      return { waiting, reason };
    }
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
