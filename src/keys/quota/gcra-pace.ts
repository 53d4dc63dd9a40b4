/** How far calls may fall behind the mean rate and catch up. */
export const leewayMs = 5_000;

/**
 * When the next call may start if calls start evenly instead of as soon as the quota lets them: the
 * virtual scheduling of the generic cell rate algorithm (ITU-T I.371), once for requests and once for
 * tokens. Quotas that are used up in bursts come back in bursts, with nothing for anybody in between.
 */
export class GcraPace {
  #requestsAt = 0;
  #tokensAt = 0;

  /** When a paced call may start; in the past when it may start now. */
  get allowsAt(): number {
    return Math.max(this.#requestsAt, this.#tokensAt);
  }

  /** A call started, paced or not. `requestMs` and `tokensMs` are the time in which its quotas come back. */
  add(requestMs: number, tokensMs: number, now: number): void {
    this.#requestsAt = Math.max(this.#requestsAt, now - leewayMs) + requestMs;
    this.#tokensAt = Math.max(this.#tokensAt, now - leewayMs) + tokensMs;
  }

  /** A call turned out to cost less, or more. */
  correct(requestMs: number, tokensMs: number): void {
    this.#requestsAt += requestMs;
    this.#tokensAt += tokensMs;
  }
}
