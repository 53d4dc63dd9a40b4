import type { GenerateContentConfig } from '@google/genai';

/**
 * How long a model may be silent while it thinks, in milliseconds, by its thinking level. With default
 * options, silences of up to 157 s have been reported.
 */
const patienceMs: Readonly<Record<string, number>> = {
  MINIMAL: 90_000,
  LOW: 120_000,
  MEDIUM: 180_000,
  HIGH: 240_000,
  XHIGH: 300_000,
};
const defaultPatienceMs = 180_000;

/** The default limit of silences for a request. */
export function patienceFor({ thinkingConfig }: GenerateContentConfig): number {
  if (thinkingConfig?.thinkingBudget === 0) return 90_000;
  return patienceMs[String(thinkingConfig?.thinkingLevel).toUpperCase()] ?? defaultPatienceMs;
}
