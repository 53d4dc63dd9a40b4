import type { Failure } from '../../core/failure.js';
import type { QuotaLimits } from '../limit-rules.js';
import { AdaptiveLimit, type LimitState } from './adaptive-limit.js';

const metrics = ['rpm', 'tpm', 'rpd'] as const;
type Metric = (typeof metrics)[number];

export type LimitSetState = Readonly<Record<Metric, LimitState>>;

/** The limits of one quota: requests and input tokens a minute, and requests a day. */
export class LimitSet implements Readonly<Record<Metric, AdaptiveLimit>> {
  readonly rpm: AdaptiveLimit;
  readonly tpm: AdaptiveLimit;
  readonly rpd: AdaptiveLimit;

  constructor({ rpd, rpm, tpm }: QuotaLimits) {
    this.rpm = new AdaptiveLimit(rpm);
    this.tpm = new AdaptiveLimit(tpm);
    this.rpd = new AdaptiveLimit(rpd, 0);
  }

  /** Whether both limits of a minute are known. */
  get areKnown(): boolean {
    return this.rpm.origin !== 'unknown' && this.tpm.origin !== 'unknown';
  }

  /** Whether neither limit of a minute is known. */
  get areUnknown(): boolean {
    return this.rpm.origin === 'unknown' && this.tpm.origin === 'unknown';
  }

  /** Among how many processes the limits are divided; 1 if this one sees what the others use. */
  get processes(): number {
    return this.rpm.processes;
  }

  set processes(processes: number) {
    for (const metric of metrics) this[metric].processes = processes;
  }

  get state(): LimitSetState {
    return { rpm: this.rpm.state, tpm: this.tpm.state, rpd: this.rpd.state };
  }

  set state(state: LimitSetState) {
    for (const metric of metrics) this[metric].state = state[metric];
  }

  /** Calls a minute that the limits admit; `Infinity` when they are unknown. */
  callsPerMinute(meanTokens: number, now: number): number {
    return Math.min(this.rpm.usable(now), this.tpm.usable(now) / Math.max(1, meanTokens));
  }

  /** The part of the tightest limit that is unused: 1 is idle, 0 is full. */
  slack(used: Readonly<Record<Metric, number>>, now: number): number {
    let slack = 1;
    for (const metric of metrics) {
      const usable = this[metric].usable(now);
      if (usable < Number.POSITIVE_INFINITY) slack = Math.min(slack, 1 - used[metric] / usable);
    }
    return slack;
  }

  /** Learns the limits that a refusal named. Returns whether any was new. */
  learn(learned: Failure['learned']): boolean {
    const news = metrics.filter((metric) => {
      const limit = learned?.[metric];
      return limit !== undefined && this[metric].learn(limit);
    });
    return news.length > 0;
  }

  /** Merges the limits of a quota that turned out to be this one. */
  absorb(other: LimitSet): void {
    for (const metric of metrics) this[metric].absorb(other[metric]);
  }
}
