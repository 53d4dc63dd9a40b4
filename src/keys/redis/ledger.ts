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

/** What nobody waits for may take this many times as long. */
const patience = 10;
/** A process that was silent for so long is counted out. */
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
  /** Gets an answer that came too late. */
  readonly onLate?: (reply: Reply) => void;
  /** Hears of any end, however late. */
  readonly onEnd?: () => void;
  readonly timeoutMs?: number;
}

export interface LedgerOptions {
  readonly run: ScriptRunner;
  readonly layout: LedgerLayout;
  readonly clock: Clock;
  /** Whether the ledger lives by `clock` instead of by Redis. */
  readonly isOwnTime: boolean;
  readonly timeoutMs: number;
  readonly process: string;
  /** What a dead process had reserved comes back after this. */
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
  #turn = 0;
  #joins = 0;
  /** Outcomes that Redis has not been sent yet, and the promises that they and the latest ones sent are told. */
  #untold: { readonly quota: ProjectModelQuota; readonly request: SettleRequest }[] = [];
  #telling: Promise<void> | undefined;
  #told: Promise<void> = Promise.resolve();

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.layout = options.layout;
    this.process = options.process;
  }

  /** The ledger's time, as far as it is known. */
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

  /** `onEnd` hears when the attempt is over, which may be long after it was given up. */
  async join(
    quotas: readonly ProjectModelQuota[],
    known: RecoverySnapshot,
    onEnd: () => void,
  ): Promise<void> {
    void this.#tell();
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

  /** Grants what is free to calls for one model, in their order. `onLate` gets an answer that came too late. */
  reserve(
    modelQueue: ModelQueue,
    calls: readonly QueuedRequest[],
    onLate: (reply: ReserveReply) => void,
  ): Promise<ReserveReply> {
    void this.#tell();
    this.#turn += calls.length;
    const set = this.layout.setOf(modelQueue.quotas);
    const request = {
      epoch: this.#epoch,
      process: this.process,
      calls,
      model: this.layout.ids.model(modelQueue.model),
      turn: this.#turn,
      leaseMs: this.#options.leaseMs,
    };
    return this.#call(reserve, set, request, {
      onLate,
      timeoutMs: this.#options.timeoutMs,
    });
  }

  /** Outcomes of one moment are told together, before anything else is asked. */
  settle(quota: ProjectModelQuota, request: SettleRequest): Promise<void> {
    this.#untold.push({ quota, request });
    this.#telling ??= Promise.resolve().then(() => this.#tell());
    return this.#telling;
  }

  observe(
    quotas: readonly ProjectModelQuota[],
    state: {
      readonly queued: number;
      readonly backlogs: readonly (readonly [id: string, size: number])[];
      readonly running: readonly (readonly string[])[];
    },
  ): Promise<ObserveReply> {
    void this.#tell();
    const { leaseMs } = this.#options;
    const request = { ...state, epoch: this.#epoch, process: this.process, leaseMs, processTtlMs };
    return this.#call(observe, this.layout.setOf(quotas), request);
  }

  #tell(): Promise<void> {
    if (this.#untold.length === 0) return this.#told;
    const outcomes = this.#untold;
    this.#untold = [];
    this.#telling = undefined;
    const quotas = [...new Set(outcomes.map(({ quota }) => quota))];
    const request = {
      outcomes: outcomes.map(({ quota, request }) => ({ ...request, quota: quotas.indexOf(quota) + 1 })),
    };
    this.#told = this.#call(settle, this.layout.setOf(quotas), request).then(() => undefined);
    return this.#told;
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
    { onLate, onEnd, timeoutMs = patience * this.#options.timeoutMs }: Hooks<Reply>,
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
      // An answer that lies in the socket already is not late: a busy process fires its timers before it reads.
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
