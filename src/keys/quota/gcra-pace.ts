/** How far calls may fall behind the mean rate and still catch up. */
const leewayMs = 5_000;

/**
 * When the next call may start if calls are spread evenly instead of starting as soon as the quota
 * allows: the virtual scheduling of the generic cell rate algorithm (ITU-T I.371), once for requests and
 * once for tokens. A quota that is used in bursts comes back in bursts, and is empty in between.
 */
export class GcraPace {
  state = { requestsAt: 0, tokensAt: 0 };

  /** When a paced call may start; in the past when it may start now. */
  get allowsAt(): number {
    return Math.max(this.state.requestsAt, this.state.tokensAt);
  }

  /** A call started, paced or not. `requestMs` and `tokensMs` are how long its quota takes to come back. */
  add(requestMs: number, tokensMs: number, now: number): void {
    this.state.requestsAt = Math.max(this.state.requestsAt, now - leewayMs) + requestMs;
    this.state.tokensAt = Math.max(this.state.tokensAt, now - leewayMs) + tokensMs;
  }

  /** A call turned out to cost less or more. */
  correct(requestMs: number, tokensMs: number): void {
    this.state.requestsAt += requestMs;
    this.state.tokensAt += tokensMs;
  }
}
