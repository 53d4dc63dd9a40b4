import { type Clock, sleep } from '../../../src/core/clock.js';
import { ModelCallError } from '../../../src/core/errors.js';
import type { Failure } from '../../../src/core/failure.js';
import type {
  ChatModel,
  ModelCapabilities,
  ModelEvent,
  ModelRequest,
  ModelStreamOptions,
} from '../../../src/model/chat-model.js';
import { classifyFailure } from '../../../src/model/gemini/failure/classify-failure.js';
import { QuotaLedger, type QuotaViolation } from '../../../src/testing/gemini-emulator/quota/quota-ledger.js';
import type { QuotaWindow } from '../../../src/testing/gemini-emulator/quota/quota-window.js';
import {
  badKey,
  internal,
  overloaded,
  quotaExceeded,
  rateLimitBare,
} from '../../../src/testing/gemini-emulator/wire/error-bodies.js';
import type { WireErrorBody } from '../../../src/testing/gemini-emulator/wire/messages.js';
import { exponential, logNormal } from '../../support/seeded-random.js';
import type { BenchFaults, BenchProject } from './scenario.js';

export const modelName = 'gemini-3.8-flash';
const longestAnswerMs = 60_000;
/** Part of an answer's time that passes before its first word. */
const firstTokenShare = 0.3;

interface QuotaModelOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly window: QuotaWindow;
  readonly projects: readonly BenchProject[];
  readonly faults: BenchFaults;
  /** How a policy understands a failure. Default: as it is. */
  readonly reinterpret?: ((failure: Failure) => Failure) | undefined;
}

interface Refusal {
  readonly status: number;
  readonly body: WireErrorBody;
}

/**
 * The emulator's quotas and error bodies as a `ChatModel` in virtual time: a call arrives after a
 * network delay and is refused fast or answered after a log-normally distributed time.
 */
export class QuotaModel implements ChatModel {
  readonly provider = 'bench';
  readonly models = { default: modelName };
  readonly needsKey = true;
  /** When each call arrived. */
  readonly calledAt: number[] = [];
  rejections = 0;
  /** Refusals for a daily quota, by project. */
  readonly dailyRefusals = new Map<string, number>();
  readonly #options: QuotaModelOptions;
  readonly #ledger: QuotaLedger;
  readonly #projects = new Map<string, BenchProject>();
  readonly #startedAt: number;

  constructor(options: QuotaModelOptions) {
    this.#options = options;
    this.#ledger = new QuotaLedger(options.window);
    this.#startedAt = options.clock.now();
    for (const project of options.projects) {
      for (const key of project.keys) this.#projects.set(key, project);
      if (options.faults.foreignShare > 0) this.#useElsewhere(project, options.faults.foreignShare);
    }
  }

  capabilities(): ModelCapabilities {
    return { media: { inline: [] } };
  }

  async *stream(
    request: ModelRequest,
    { apiKey = '', signal }: ModelStreamOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    const { clock, random, reinterpret } = this.#options;
    await sleep(clock, 20 + 100 * random(), signal);
    this.calledAt.push(clock.now());
    const inputTokens = tokensOf(request);
    const refusal = this.#refuse(apiKey, inputTokens);
    if (refusal !== undefined) {
      if (refusal.status === 429) this.rejections += 1;
      await sleep(clock, 30 + 70 * random(), signal);
      const failure = classifyFailure({ ...refusal, nowMs: clock.now() });
      throw new ModelCallError(reinterpret?.(failure) ?? failure);
    }
    const answerMs = Math.min(longestAnswerMs, logNormal(random, 2_500, 0.6));
    await sleep(clock, firstTokenShare * answerMs, signal);
    yield { type: 'text', text: 'Answer.' };
    await sleep(clock, (1 - firstTokenShare) * answerMs, signal);
    const usage = { inputTokens, outputTokens: 100, thoughtTokens: 0, totalTokens: inputTokens + 100 };
    yield { type: 'finish', finishReason: 'stop', usage, parts: [] };
  }

  #refuse(key: string, inputTokens: number): Refusal | undefined {
    const { clock, faults, random } = this.#options;
    const now = clock.now();
    const elapsedMs = now - this.#startedAt;
    const project = this.#projects.get(key);
    if (project === undefined || (faults.keyDies?.key === key && elapsedMs >= faults.keyDies.atMs)) {
      return { status: 400, body: badKey(key) };
    }
    if (isDuring(faults.outage, elapsedMs) || random() < faults.overloadedShare) {
      return { status: 503, body: overloaded() };
    }
    if (random() < faults.internalShare) return { status: 500, body: internal() };
    if (faults.exhausted !== undefined && isDuring(faults.exhausted, elapsedMs)) {
      const waitMs = faults.exhausted.toMs - elapsedMs;
      return this.#rateLimit([{ quota: 'rpm', limit: project.limits.rpm, waitMs }]);
    }
    const violations = this.#ledger.charge(project, modelName, inputTokens, now);
    if (violations.length === 0) return undefined;
    if (violations.some(({ quota }) => quota === 'rpd')) {
      this.dailyRefusals.set(project.id, (this.dailyRefusals.get(project.id) ?? 0) + 1);
    }
    return this.#rateLimit(violations);
  }

  #rateLimit(violations: readonly QuotaViolation[]): Refusal {
    const hasNoHint = this.#options.faults.refusalsWithoutHint;
    return { status: 429, body: hasNoHint ? rateLimitBare() : quotaExceeded(violations, modelName) };
  }

  /** Another application asks for `share` of both quotas, and gets what is left. */
  #useElsewhere(project: BenchProject, share: number): void {
    const { clock, random } = this.#options;
    const { rpm, tpm } = project.limits;
    const next = () => {
      this.#ledger.charge(project, modelName, Math.floor(tpm / rpm), clock.now());
      clock.setTimeout(next, exponential(random, 60_000 / (share * rpm)));
    };
    next();
  }
}

/** The bench writes the true size of a prompt in front of it. */
function tokensOf(request: ModelRequest): number {
  const part = request.messages.at(-1)?.parts.at(-1);
  return part?.type === 'text' ? Number.parseInt(part.text, 10) : 0;
}

function isDuring(period: { fromMs: number; toMs: number } | undefined, elapsedMs: number): boolean {
  return period !== undefined && elapsedMs >= period.fromMs && elapsedMs < period.toMs;
}
