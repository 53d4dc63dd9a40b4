import type { Clock } from '../../src/core/clock.js';
import type { Failure } from '../../src/core/failure.js';
import type { LeaseOutcome } from '../../src/keys/key-pool.js';
import {
  createMinuteCounter,
  type MinuteCounter,
  type QuotaWindow,
} from '../../src/testing/gemini-emulator/quota/quota-window.js';
import { exponential, logNormal } from './seeded-random.js';

export interface SimulatedProject {
  readonly name: string;
  readonly keys: readonly string[];
  readonly rpm: number;
  readonly tpm: number;
}

export interface ServiceFaults {
  /** From `atMs` on this key is refused as invalid. */
  readonly keyDies?: { readonly key: string; readonly atMs: number } | undefined;
  /** Period in which all calls are refused for their rate. */
  readonly exhausted?: { readonly fromMs: number; readonly toMs: number } | undefined;
  /** Period in which all calls fail with 503. */
  readonly outage?: { readonly fromMs: number; readonly toMs: number } | undefined;
  /** Share of each quota that another application uses. */
  readonly foreignShare?: number | undefined;
  /** Whether refusals name neither limit nor delay. */
  readonly refusalsWithoutHint?: boolean | undefined;
  /** Share of the calls that fail with 503. */
  readonly overloadedShare?: number | undefined;
  /** Share of the calls that fail with 500. */
  readonly internalShare?: number | undefined;
}

export interface SimulatedServiceOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly window: QuotaWindow;
  readonly projects: readonly SimulatedProject[];
  readonly faults?: ServiceFaults | undefined;
}

/**
 * A discrete-event model of Gemini with quotas: a call arrives after a network delay and is refused fast
 * or answered after a log-normally distributed time.
 */
export class SimulatedService {
  calls = 0;
  rejections = 0;
  readonly #options: SimulatedServiceOptions;
  readonly #startedAt: number;
  readonly #quotas = new Map<string, { project: SimulatedProject; rpm: MinuteCounter; tpm: MinuteCounter }>();

  constructor(options: SimulatedServiceOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    for (const project of options.projects) {
      const quota = {
        project,
        rpm: createMinuteCounter(options.window, project.rpm),
        tpm: createMinuteCounter(options.window, project.tpm),
      };
      for (const key of project.keys) this.#quotas.set(key, quota);
      const { foreignShare = 0 } = options.faults ?? {};
      if (foreignShare > 0) this.#useElsewhere(quota, foreignShare);
    }
  }

  async call(key: string, inputTokens: number): Promise<LeaseOutcome> {
    const { random } = this.#options;
    this.calls += 1;
    await this.#pass(20 + 100 * random());
    const failure = this.#refuse(key, inputTokens);
    if (failure !== undefined) {
      if (failure.kind === 'rate-limit') this.rejections += 1;
      await this.#pass(30 + 70 * random());
      return { ok: false, failure, sent: true };
    }
    await this.#pass(Math.min(60_000, logNormal(random, 2_500, 0.6)));
    return {
      ok: true,
      usage: { inputTokens, outputTokens: 100, thoughtTokens: 0, totalTokens: inputTokens + 100 },
    };
  }

  #refuse(key: string, inputTokens: number): Failure | undefined {
    const { faults = {}, random, clock } = this.#options;
    const now = clock.now();
    const elapsedMs = now - this.#startedAt;
    const quota = this.#quotas.get(key);
    if (quota === undefined || (faults.keyDies?.key === key && elapsedMs >= faults.keyDies.atMs)) {
      return {
        kind: 'auth',
        scope: 'key',
        message: 'API key not valid.',
        reason: 'API_KEY_INVALID',
        status: 400,
      };
    }
    if (isDuring(faults.outage, elapsedMs) || random() < (faults.overloadedShare ?? 0)) {
      return { kind: 'overloaded', scope: 'model', message: 'The model is overloaded.', status: 503 };
    }
    if (random() < (faults.internalShare ?? 0)) {
      return { kind: 'internal', scope: 'model', message: 'Internal error.', status: 500 };
    }
    if (isDuring(faults.exhausted, elapsedMs)) {
      return this.#rateLimit((faults.exhausted?.toMs ?? 0) - elapsedMs, { rpm: quota.project.rpm });
    }
    const rpmWaitMs = quota.rpm.waitMs(1, now);
    const tpmWaitMs = quota.tpm.waitMs(inputTokens, now);
    if (rpmWaitMs > 0) return this.#rateLimit(rpmWaitMs, { rpm: quota.project.rpm });
    if (tpmWaitMs > 0) return this.#rateLimit(tpmWaitMs, { tpm: quota.project.tpm });
    quota.rpm.spend(1, now);
    quota.tpm.spend(inputTokens, now);
    return undefined;
  }

  #rateLimit(waitMs: number, learned: NonNullable<Failure['learned']>): Failure {
    const refusal = {
      kind: 'rate-limit',
      scope: 'project-model',
      message: 'Quota exceeded.',
      status: 429,
    } as const;
    if (this.#options.faults?.refusalsWithoutHint) return refusal;
    return { ...refusal, retryAfterMs: Math.floor(waitMs / 1_000) * 1_000, learned };
  }

  #useElsewhere(quota: { project: SimulatedProject; rpm: MinuteCounter }, share: number): void {
    const { clock, random } = this.#options;
    const next = () => {
      const now = clock.now();
      if (quota.rpm.waitMs(1, now) === 0) quota.rpm.spend(1, now);
      clock.setTimeout(next, exponential(random, 60_000 / (share * quota.project.rpm)));
    };
    next();
  }

  #pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.setTimeout(resolve, delayMs);
    });
  }
}

function isDuring(period: { fromMs: number; toMs: number } | undefined, elapsedMs: number): boolean {
  return period !== undefined && elapsedMs >= period.fromMs && elapsedMs < period.toMs;
}
