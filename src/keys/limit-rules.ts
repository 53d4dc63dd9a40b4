import { z } from 'zod';
import { count, nonBlank } from '../core/parse-options.js';

/** Limits of one project for one model. An omitted limit is learned from refusals. */
export interface QuotaLimits {
  /** Requests a minute. */
  readonly rpm?: number | undefined;
  /** Input tokens a minute. */
  readonly tpm?: number | undefined;
  /** Requests a day, counted from midnight in Los Angeles. */
  readonly rpd?: number | undefined;
}

/** Limits, and what they apply to: everything, unless a project or a model is named. */
export interface LimitRule extends QuotaLimits {
  /** Default: all projects. */
  readonly project?: string | undefined;
  /** Default: all models. */
  readonly model?: string | undefined;
}

export const limitRuleSchema = z.strictObject({
  project: nonBlank.optional(),
  model: nonBlank.optional(),
  rpm: count.optional(),
  tpm: count.optional(),
  rpd: count.optional(),
} satisfies Record<keyof LimitRule, z.ZodType>) satisfies z.ZodType<unknown, LimitRule>;

/** The limits of one project and model. Each number comes from the most specific rule that gives it. */
export function limitsFor(rules: readonly LimitRule[], project: string, model: string): QuotaLimits {
  const specificity = (rule: LimitRule) =>
    (rule.project === undefined ? 0 : 2) + (rule.model === undefined ? 0 : 1);
  const limits: { rpm?: number | undefined; tpm?: number | undefined; rpd?: number | undefined } = {};
  const matching = rules
    .filter((rule) => rule.project === undefined || rule.project === project)
    .filter((rule) => rule.model === undefined || rule.model === model)
    .sort((a, b) => specificity(a) - specificity(b));
  for (const { rpm, tpm, rpd } of matching) {
    if (rpm !== undefined) limits.rpm = rpm;
    if (tpm !== undefined) limits.tpm = tpm;
    if (rpd !== undefined) limits.rpd = rpd;
  }
  return limits;
}
