import type { EmulatedLimits, EmulatedProject } from './emulated-project.js';
import { pacificDay } from './pacific-day.js';
import { createMinuteCounter, type MinuteCounter, type QuotaWindow } from './quota-window.js';

/** A quota that a call would exceed. */
export interface QuotaViolation {
  readonly quota: 'rpm' | 'tpm' | 'rpd';
  readonly limit: number;
  readonly waitMs: number;
}

/** Tracks what each project has spent on each model. */
export class QuotaLedger {
  readonly #window: QuotaWindow;
  readonly #usages = new Map<string, ProjectModelUsage | undefined>();

  constructor(window: QuotaWindow) {
    this.#window = window;
  }

  /** Charges a call. If it would exceed quotas, returns these and charges nothing. */
  charge(project: EmulatedProject, model: string, inputTokens: number, nowMs: number): QuotaViolation[] {
    const usage = this.#usageOf(project, model);
    if (!usage) return [];
    const violations = usage.violations(inputTokens, nowMs);
    if (violations.length === 0) usage.spend(inputTokens, nowMs);
    return violations;
  }

  #usageOf(project: EmulatedProject, model: string): ProjectModelUsage | undefined {
    const name = `${project.id}\n${model}`;
    if (this.#usages.has(name)) return this.#usages.get(name);
    const limits = limitsOf(project, model);
    const usage = limits && new ProjectModelUsage(limits, this.#window);
    this.#usages.set(name, usage);
    return usage;
  }
}

/** The limits of a project on one model; `undefined` if it has none. */
function limitsOf(project: EmulatedProject, model: string): EmulatedLimits | undefined {
  const { limits } = project;
  if (!limits) return undefined;
  const forAll = ['rpm', 'tpm', 'rpd'].some((name) => typeof Reflect.get(limits, name) === 'number');
  return forAll ? (limits as EmulatedLimits) : (limits as Record<string, EmulatedLimits>)[model];
}

class ProjectModelUsage {
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
    this.#startDay(nowMs);
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

  #startDay(nowMs: number): void {
    if (this.#limits.rpd === undefined) return;
    const day = pacificDay(nowMs);
    if (day === this.#day) return;
    this.#day = day;
    this.#today = 0;
  }
}

const untilNextMinuteMs = (nowMs: number) => 60_000 - (nowMs % 60_000);

/** Gemini advises a delay even if none helps (a limit of 0, a request above the limit). */
const advised = (waitMs: number, nowMs: number) =>
  Number.isFinite(waitMs) ? waitMs : untilNextMinuteMs(nowMs);
