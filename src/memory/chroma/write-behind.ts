import { ExponentialBackoff } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import { MemoryError } from '../../core/errors.js';
import type { Turn } from '../../core/turn.js';
import type { ForgetTarget } from '../memory-store.js';
import { AppendQueue } from '../shared/append-queue.js';
import { type SerializedTurn, serializeTurn } from '../shared/turn-body.js';
import type { ChromaTurns } from './chroma-turns.js';
import { isRefusal } from './explain-failure.js';
import type { TurnIntake } from './turn-intake.js';
import type { OutboxRecord, TurnOutbox } from './turn-outbox.js';
import type { TurnRecord } from './turn-record.js';

const largestCommit = 500;
const largestDelivery = 200;
const pauses = { initialMs: 500, maxMs: 30_000 };
/** How often this looks for turns of processes that have ended. */
const adoptEveryMs = 15_000;
/** How long `close` waits for a delivery; what is not delivered is safe in the outbox. */
const closingMs = 2_000;

/** Acknowledges turns once they are on the local disk, and delivers them to the server in the background. */
export class WriteBehind implements TurnIntake {
  readonly #outbox: TurnOutbox;
  readonly #turns: ChromaTurns;
  readonly #clock: Clock;
  readonly #queue: AppendQueue<SerializedTurn>;
  /** Turns that the server refuses although it takes others; skipped until the next start. */
  readonly #refused = new Map<number, unknown>();
  #delivering: Promise<void> | undefined;
  #isWoken = false;
  #isHeld = false;
  #isClosed = false;
  readonly #backoff = new ExponentialBackoff(pauses);
  #pause: unknown;
  #adoption: unknown;

  constructor(outbox: TurnOutbox, turns: ChromaTurns, clock: Clock) {
    this.#outbox = outbox;
    this.#turns = turns;
    this.#clock = clock;
    this.#queue = new AppendQueue((batch) => this.#outbox.insert(batch), { largestBatch: largestCommit });
    this.#adopt();
  }

  async add(turn: Turn, signal?: AbortSignal): Promise<void> {
    await this.#queue.add(serializeTurn(turn), signal);
    this.#wake();
  }

  waiting(conversation: string): Promise<readonly TurnRecord[]> {
    return this.#outbox.ofConversation(conversation);
  }

  pending(): Promise<number> {
    return this.#outbox.count();
  }

  async forget(target: ForgetTarget, signal?: AbortSignal): Promise<readonly string[]> {
    await this.#queue.idle();
    this.#isHeld = true;
    try {
      // A delivery under way would arrive after the deletion.
      await this.#delivering;
      return await this.#outbox.forget(target, signal);
    } finally {
      this.#isHeld = false;
      this.#wake();
    }
  }

  async drain(): Promise<void> {
    await this.#queue.idle();
    this.#clearPause();
    await this.#delivering;
    this.#clearPause();
    await this.#outbox.adopt();
    try {
      await this.#deliverAll();
    } catch (cause) {
      throw new MemoryError(
        `Some turns are on the local disk but not on the server yet; they are delivered later. ${(cause as Error).message}`,
        { cause },
      );
    }
    const [refusal] = this.#refused.values();
    if (refusal !== undefined) {
      throw new MemoryError(
        `Chroma refuses ${this.#refused.size} turns, which stay in the outbox. ${(refusal as Error).message}`,
        { cause: refusal },
      );
    }
  }

  async close(): Promise<void> {
    await this.#queue.idle();
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = this.#clock.setTimeout(resolve, closingMs);
    });
    // Closes even if the server is down: the turns are safe.
    await Promise.race([this.#pause === undefined ? this.#delivering : undefined, late]);
    this.#clock.clearTimeout(timer);
    this.#isClosed = true;
    this.#clearPause();
    this.#clock.clearTimeout(this.#adoption);
    await this.#outbox.close();
  }

  #wake(): void {
    if (this.#isClosed || this.#isHeld || this.#pause !== undefined) return;
    if (this.#delivering) {
      this.#isWoken = true;
      return;
    }
    this.#delivering = this.#deliverAll()
      .catch(() => this.#waitForServer())
      .finally(() => {
        this.#delivering = undefined;
        if (!this.#isWoken) return;
        this.#isWoken = false;
        this.#wake();
      });
  }

  async #deliverAll(): Promise<void> {
    while (!this.#isClosed && !this.#isHeld) {
      const found = await this.#outbox.next(largestDelivery + this.#refused.size);
      const batch = found.filter(({ position }) => !this.#refused.has(position)).slice(0, largestDelivery);
      if (batch.length === 0) return;
      await this.#deliver(batch);
      this.#backoff.reset();
    }
  }

  async #deliver(batch: readonly OutboxRecord[]): Promise<void> {
    try {
      await this.#turns.write(batch);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (batch.length > 1) for (const record of batch) await this.#deliver([record]);
      else for (const { position } of batch) this.#refused.set(position, error);
      return;
    }
    if (this.#isClosed) return;
    const forgotten = await this.#outbox.remove(batch);
    if (forgotten.length > 0) await this.#turns.remove(forgotten.map(({ id }) => id));
  }

  #waitForServer(): void {
    if (this.#isClosed) return;
    const resume = () => {
      this.#pause = undefined;
      this.#wake();
    };
    const delayMs = this.#backoff.next() * (0.5 + Math.random() / 2);
    this.#pause = this.#clock.setTimeout(resume, delayMs, { isBackground: true });
  }

  #clearPause(): void {
    if (this.#pause !== undefined) this.#clock.clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /** At the start, and every 15 s. A file that cannot be opened is reported by the calls that need it. */
  #adopt(): void {
    const next = () => {
      if (this.#isClosed) return;
      this.#wake();
      this.#adoption = this.#clock.setTimeout(() => this.#adopt(), adoptEveryMs, { isBackground: true });
    };
    this.#outbox.adopt().then(next, next);
  }
}
