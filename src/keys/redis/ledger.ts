import type { Clock } from '../../core/clock.js';
import { pacificDayEnd } from '../quota/pacific-day.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import { joinScript } from './join-script.js';
import type { LedgerLayout, QuotaSet } from './ledger-layout.js';
import type {
  ObserveReply,
  QueuedRequest,
  RecoverySnapshot,
  ReserveReply,
  SettleRequest,
} from './ledger-view.js';
import { observeScript } from './observe-script.js';
import { RedisScript, type ScriptRunner } from './redis-client.js';
import { reserveScript } from './reserve-script.js';
import { settleScript } from './settle-script.js';

const join = new RedisScript(joinScript);
const reserve = new RedisScript(reserveScript);
const settle = new RedisScript(settleScript);
const observe = new RedisScript(observeScript);

/** Requests that no call waits for get this many times the timeout. */
const backgroundPatience = 10;
/** A process without heartbeat for this long counts as dead. */
const processTtlMs = 10_000;

/** Redis does not answer, answers too late, or has lost the ledger. */
export class LedgerUnavailable extends Error {
  /** The ledger answers but is not the one that was joined: its data was lost. */
  readonly isLost: boolean;

  constructor(message: string, options?: { cause?: unknown; isLost?: boolean }) {
    super(message, { cause: options?.cause });
    this.isLost = options?.isLost ?? false;
  }
}

interface Hooks<Reply> {
  /** Called with an answer that came after the timeout. */
  readonly onLate?: (reply: Reply) => void;
  /** Called when Redis has answered or failed, also after the timeout. */
  readonly onEnd?: () => void;
  readonly timeoutMs?: number;
}

export interface LedgerOptions {
  readonly run: ScriptRunner;
  readonly layout: LedgerLayout;
  readonly clock: Clock;
  /** Whether the ledger uses `clock` instead of the time of Redis. */
  readonly isOwnTime: boolean;
  readonly timeoutMs: number;
  readonly process: string;
  /** After this the reservations of a dead process end. */
  readonly leaseMs: number;
}

/** The state that the processes share, in Redis. Each method is one atomic script. */
export class Ledger {
  readonly layout: LedgerLayout;
  readonly process: string;
  readonly #options: LedgerOptions;
  #epoch: string | undefined;
  #offsetMs = 0;
  #dayEnd = 0;
  #rotation = 0;
  #joins = 0;
  /** Outcomes that were not sent yet, the promise of their report, and the promise of the latest one sent. */
  #unreported: { readonly quota: ProjectModelQuota; readonly request: SettleRequest }[] = [];
  #reporting: Promise<void> | undefined;
  #reported: Promise<void> = Promise.resolve();

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.layout = options.layout;
    this.process = options.process;
  }

  /** The ledger's time, by the latest answer. */
  now(): number {
    return Math.floor(this.#options.clock.now() + this.#offsetMs);
  }

  /** The time of the local clock at a moment of the ledger's. */
  toLocal(at: number): number {
    return at - this.#offsetMs;
  }

  dayEnd(): number {
    const now = this.now();
    if (now >= this.#dayEnd) this.#dayEnd = pacificDayEnd(now);
    return this.#dayEnd;
  }

  /** @param onEnd Called when the attempt is over, which may be long after the timeout. */
  async join(
    quotas: readonly ProjectModelQuota[],
    known: RecoverySnapshot,
    onEnd: () => void,
  ): Promise<void> {
    void this.#report();
    this.#joins += 1;
    const request = {
      ...known,
      candidate: `${this.process}.${this.#joins}`,
      isLoss: this.#epoch !== undefined,
    };
    const { epoch } = await this.#call<{ now: number; epoch: string }>(
      join,
      this.layout.setOf(quotas),
      request,
      {
        onEnd,
      },
    );
    this.#epoch = epoch;
  }

  /**
   * Grants free quota to calls for one model, in their order.
   *
   * @param onLate Called with an answer that came after the timeout.
   */
  reserve(
    modelQueue: ModelQueue,
    calls: readonly QueuedRequest[],
    onLate: (reply: ReserveReply) => void,
  ): Promise<ReserveReply> {
    void this.#report();
    this.#rotation += calls.length;
    const set = this.layout.setOf(modelQueue.quotas);
    const request = {
      epoch: this.#epoch,
      process: this.process,
      calls,
      model: this.layout.ids.model(modelQueue.model),
      rotation: this.#rotation,
      leaseMs: this.#options.leaseMs,
    };
    return this.#call(reserve, set, request, {
      onLate,
      timeoutMs: this.#options.timeoutMs,
    });
  }

  /** Outcomes of one moment are reported together, before any other request. */
  settle(quota: ProjectModelQuota, request: SettleRequest): Promise<void> {
    this.#unreported.push({ quota, request });
    this.#reporting ??= Promise.resolve().then(() => this.#report());
    return this.#reporting;
  }

  observe(
    quotas: readonly ProjectModelQuota[],
    state: {
      readonly queued: number;
      readonly backlogs: readonly (readonly [id: string, size: number])[];
      readonly running: readonly (readonly string[])[];
    },
  ): Promise<ObserveReply> {
    void this.#report();
    const { leaseMs } = this.#options;
    const request = { ...state, epoch: this.#epoch, process: this.process, leaseMs, processTtlMs };
    return this.#call(observe, this.layout.setOf(quotas), request);
  }

  #report(): Promise<void> {
    if (this.#unreported.length === 0) return this.#reported;
    const outcomes = this.#unreported;
    this.#unreported = [];
    this.#reporting = undefined;
    const quotas = [...new Set(outcomes.map(({ quota }) => quota))];
    const request = {
      outcomes: outcomes.map(({ quota, request }) => ({ ...request, quota: quotas.indexOf(quota) + 1 })),
    };
    this.#reported = this.#call(settle, this.layout.setOf(quotas), request).then(() => undefined);
    return this.#reported;
  }

  async #call<Reply extends { readonly now: number }>(
    script: RedisScript,
    set: QuotaSet,
    request: Record<string, unknown>,
    hooks: Hooks<Reply> = {},
  ): Promise<Reply> {
    const { clock, isOwnTime, run } = this.#options;
    const dayEnd = this.dayEnd();
    const body = JSON.stringify({
      ...request,
      dayEnd,
      ...(isOwnTime ? { now: Math.floor(clock.now()) } : {}),
    });
    const work = run(script, set.keys, [set.limits, set.ids, body]).then(
      (reply) => JSON.parse(String(reply)) as Reply & { stale?: boolean },
      (error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new LedgerUnavailable(reason || 'The connection failed.', { cause: error });
      },
    );
    const reply = await this.#inTime(work, hooks);
    if (reply.stale) throw new LedgerUnavailable('Redis has lost the ledger.', { isLost: true });
    if (!isOwnTime) this.#offsetMs = reply.now - clock.now();
    return reply;
  }

  #inTime<Reply>(
    work: Promise<Reply & { stale?: boolean }>,
    { onLate, onEnd, timeoutMs = backgroundPatience * this.#options.timeoutMs }: Hooks<Reply>,
  ): Promise<Reply & { stale?: boolean }> {
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      let isLate = false;
      let isSettled = false;
      const giveUp = () => {
        if (isSettled) return;
        isLate = true;
        reject(new LedgerUnavailable(`Redis did not answer within ${timeoutMs} ms.`));
      };
      // A busy process fires timers before it reads sockets, so an answer may already be there.
      const timer = clock.setTimeout(() => {
        setImmediate(() => setImmediate(giveUp));
      }, timeoutMs);
      work.then(
        (reply) => {
          isSettled = true;
          clock.clearTimeout(timer);
          onEnd?.();
          if (isLate && !reply.stale) onLate?.(reply);
          resolve(reply);
        },
        (error: unknown) => {
          isSettled = true;
          clock.clearTimeout(timer);
          onEnd?.();
          reject(error);
        },
      );
    });
  }
}
