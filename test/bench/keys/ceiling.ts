import { pacificDayEnd } from '../../../src/keys/quota/pacific-day.js';
import type { BenchProject } from './scenario.js';

const minuteMs = 60_000;

/** Calls a minute that the quotas admit at best, when another application takes its share. */
export function callsPerMinute(
  projects: readonly BenchProject[],
  meanTokens: number,
  foreignShare: number,
): number {
  const all = projects.reduce((sum, { limits }) => sum + Math.min(limits.rpm, limits.tpm / meanTokens), 0);
  return all * (1 - foreignShare);
}

/** A quota day's part of a run, and how many calls the quotas admit in it. */
export interface DayPart {
  readonly endsAt: number;
  readonly ceiling: number;
  offered: number;
}

/** Splits a run at the midnights in Los Angeles. */
export function dayParts(
  projects: readonly BenchProject[],
  meanTokens: number,
  foreignShare: number,
  startsAt: number,
  endsAt: number,
): DayPart[] {
  const parts: DayPart[] = [];
  for (let from = startsAt; from < endsAt; ) {
    const to = Math.min(endsAt, pacificDayEnd(from));
    const minutes = (to - from) / minuteMs;
    const ceiling = projects.reduce((sum, project) => {
      const byMinute = callsPerMinute([project], meanTokens, foreignShare) * minutes;
      return sum + Math.min(byMinute, project.limits.rpd ?? byMinute);
    }, 0);
    parts.push({ endsAt: to, ceiling, offered: 0 });
    from = to;
  }
  return parts;
}
