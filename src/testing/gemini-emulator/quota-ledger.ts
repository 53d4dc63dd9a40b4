import type { EmulatedLimits, EmulatedProject } from './options.js';
import { pacificDay } from './pacific-day.js';
import { createMinuteCounter, type MinuteCounter, type QuotaWindow } from './quota-window.js';

/** A quota that a call would exceed. */
export interface QuotaViolation {
  readonly quota: 'rpm' | 'tpm' | 'rpd';
  readonly limit: number;
  readonly waitMs: number;
}

/** Keeps what each project has spent on each model. */
export class QuotaLedger {
  readonly #window: QuotaWindow;
  readonly #units = new Map<string, QuotaUnit | undefined>();

  constructor(window: QuotaWindow) {
    this.#window = window;
  }

  /**
   * Charges a call, or names the quotas that it would exceed, in which case nothing is charged.
   */
  charge(project: EmulatedProject, model: string, inputTokens: number, nowMs: number): QuotaViolation[] {
    const unit = this.#unit(project, model);
    if (!unit) return [];
    const violations = unit.violations(inputTokens, nowMs);
    if (violations.length === 0) unit.spend(inputTokens, nowMs);
    return violations;
  }

  #unit(project: EmulatedProject, model: string): QuotaUnit | undefined {
    const name = `${project.id}\n${model}`;
    if (this.#units.has(name)) return this.#units.get(name);
    const limits = limitsOf(project, model);
    const unit = limits && new QuotaUnit(limits, this.#window);
    this.#units.set(name, unit);
    return unit;
  }
}

/** The limits of a project on one model; `undefined` when it has none. */
function limitsOf(project: EmulatedProject, model: string): EmulatedLimits | undefined {
  const { limits } = project;
  if (!limits) return undefined;
  const forAll = ['rpm', 'tpm', 'rpd'].some((name) => typeof Reflect.get(limits, name) === 'number');
  return forAll ? (limits as EmulatedLimits) : (limits as Record<string, EmulatedLimits>)[model];
}

class QuotaUnit {
  readonly #limits: EmulatedLimits;
  readonly #requests: MinuteCounter | undefined;
  readonly #tokens: MinuteCounter | undefined;
  #day = '';
  #today = 0;

  constructor(limits: EmulatedLimits, window: QuotaWindow) {
    this.#limits = limits;
    this.#requests = limits.rpm === undefined ? undefined : createMinuteCounter(window, limits.rpm);
    this.#tokens = limits.tpm === undefined ? undefined : createMinuteCounter(window, limits.tpm);
  }

  violations(inputTokens: number, nowMs: number): QuotaViolation[] {
    const violations: QuotaViolation[] = [];
    const { rpm, tpm, rpd } = this.#limits;
    this.#turn(nowMs);
    // Gemini advises a short delay on a daily quota too, as if it were one per minute.
    if (rpd !== undefined && this.#today >= rpd)
      violations.push({ quota: 'rpd', limit: rpd, waitMs: untilNextMinuteMs(nowMs) });
    const requestWaitMs = this.#requests?.waitMs(1, nowMs) ?? 0;
    if (rpm !== undefined && requestWaitMs > 0)
      violations.push({ quota: 'rpm', limit: rpm, waitMs: advised(requestWaitMs, nowMs) });
    const tokenWaitMs = this.#tokens?.waitMs(inputTokens, nowMs) ?? 0;
    if (tpm !== undefined && tokenWaitMs > 0)
      violations.push({ quota: 'tpm', limit: tpm, waitMs: advised(tokenWaitMs, nowMs) });
    return violations;
  }

  spend(inputTokens: number, nowMs: number): void {
    this.#requests?.spend(1, nowMs);
    this.#tokens?.spend(inputTokens, nowMs);
    this.#today++;
  }

  #turn(nowMs: number): void {
    if (this.#limits.rpd === undefined) return;
    const day = pacificDay(nowMs);
    if (day === this.#day) return;
    this.#day = day;
    this.#today = 0;
  }
}

const untilNextMinuteMs = (nowMs: number) => 60_000 - (nowMs % 60_000);

/** Gemini advises a delay even where none helps (a limit of 0, a request above the limit). */
const advised = (waitMs: number, nowMs: number) =>
  Number.isFinite(waitMs) ? waitMs : untilNextMinuteMs(nowMs);
