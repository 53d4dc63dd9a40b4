const minuteMs = 60_000;
/** Share of the full limit regained in the first minute after a cut. Later minutes regain more. */
const regainedFirst = 0.01;
const regainedSquared = 0.002;
/** Share kept of what had been admitted when the server refused more. */
const cutFactor = 0.98;
/** A ledger fuller than this explains a refusal by itself: no other application uses the quota. */
export const fullShare = 0.95;
/** Share that stays usable after any number of cuts, so that a recovery is noticed. */
const smallestShare = 0.05;

const unknown = Number.POSITIVE_INFINITY;

/** What was learned of a limit, as plain data. */
export interface LimitState {
  /** Named by a refusal. */
  learned?: number | undefined;
  /** Concluded from refusals that named none. */
  estimate?: number | undefined;
  /** The share in use since the cut at `cutAt`. */
  share: number;
  cutAt: number;
}

export type LimitOrigin = 'configured' | 'learned' | 'estimated' | 'unknown';

/**
 * One limit of one quota: configured, learned from a refusal that named it, estimated from refusals
 * that did not, or unknown. The lower of configured and learned applies: a user may leave room for
 * another application. A refusal below the limit cuts the share in use, which then grows back slowly
 * (additive increase, multiplicative decrease).
 */
export class AdaptiveLimit {
  readonly #configured: number;
  readonly #least: number;
  state: LimitState = { share: 1, cutAt: 0 };
  /** Among how many processes the limit is divided. */
  processes = 1;

  /** @param least What a process gets at least of a divided limit. */
  constructor(configured: number | undefined, least = 1) {
    this.#configured = configured ?? Number.POSITIVE_INFINITY;
    this.#least = least;
  }

  get origin(): LimitOrigin {
    if ((this.state.learned ?? unknown) < this.#configured) return 'learned';
    if (this.#configured < Number.POSITIVE_INFINITY) return 'configured';
    return this.state.estimate !== undefined ? 'estimated' : 'unknown';
  }

  /** The limit itself; `Infinity` when unknown. */
  get nominal(): number {
    return partOfLimit(this.#whole, this.processes, this.#least);
  }

  /** What may be used at `now`; `Infinity` when the limit is unknown. */
  usable(now: number): number {
    const nominal = this.nominal;
    if (nominal === 0) return 0;
    const minutes = Math.max(0, now - this.state.cutAt) / minuteMs;
    if (nominal < Number.POSITIVE_INFINITY) {
      if (this.state.share >= 1) return nominal;
      return Math.max(1, Math.floor(nominal * Math.min(1, this.state.share + regained(minutes))));
    }
    if (this.state.estimate === undefined) return unknown;
    return partOfLimit(Math.floor(this.state.estimate * (1 + regained(minutes)) + minutes), this.processes);
  }

  /** The server named the limit. Returns whether it differs from the one known. */
  learn(limit: number): boolean {
    if (limit === this.state.learned) return false;
    this.state.learned = limit;
    this.state.estimate = undefined;
    return true;
  }

  /** Merges a limit that turned out to be this one. */
  absorb(other: AdaptiveLimit): void {
    if (other.#whole < this.#whole) this.learn(other.#whole);
  }

  /**
   * The server refused although only `used` had been admitted. Returns whether the limit allows more
   * than that.
   */
  cut(used: number, now: number): boolean {
    const nominal = this.nominal;
    if (nominal === Number.POSITIVE_INFINITY) {
      this.state.estimate = Math.max(1, Math.floor(used * cutFactor)) * this.processes;
    } else if (used < nominal * fullShare) {
      // One refusal takes at most half: the other applications may stop at any time.
      const share = this.usable(now) / nominal;
      this.state.share = Math.max(smallestShare, share / 2, Math.min(share, used / nominal) * cutFactor);
    } else {
      return false;
    }
    this.state.cutAt = now;
    return true;
  }

  get #whole(): number {
    return Math.min(this.#configured, this.state.learned ?? unknown);
  }
}

/** What each process gets of a limit: at least 1 by default, to notice when it may call again. */
export function partOfLimit(limit: number, processes: number, least = 1): number {
  return limit === 0 || processes === 1 ? limit : Math.max(least, Math.floor(limit / processes));
}

function regained(minutes: number): number {
  return regainedFirst * minutes + regainedSquared * minutes ** 2;
}
