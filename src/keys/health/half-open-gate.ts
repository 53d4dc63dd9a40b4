/**
 * A circuit breaker for one thing that calls depend on: a key, a project, a quota or a model. Healthy
 * until it is blocked; once the block is over, a single probe decides whether it is healthy again.
 */
export class HalfOpenGate {
  /** Why it was blocked, in one sentence. */
  reason: string | undefined;
  #blockedUntil = 0;
  /** Blocked, or half-open: the block is over and no probe has succeeded yet. */
  #isSuspect = false;
  #probedAt: number | undefined;
  /** A probe without result keeps other calls out no longer than this. */
  readonly #probeMs: number;

  constructor(probeMs: number) {
    this.#probeMs = probeMs;
  }

  /** Neither blocked nor half-open. */
  get isHealthy(): boolean {
    return !this.#isSuspect;
  }

  /** When the block ends; 0 while healthy, in the past while half-open. */
  get blockedUntil(): number {
    return this.#blockedUntil;
  }

  /**
   * When the next call may pass; in the past when it may pass now.
   *
   * @param optimistic Assumes that a probe under way succeeds at once.
   */
  allowsAt(now: number, optimistic = false): number {
    if (!this.#isSuspect) return 0;
    if (optimistic || now < this.#blockedUntil || this.#probedAt === undefined) return this.#blockedUntil;
    return this.#probedAt + this.#probeMs;
  }

  /** A call passes. While half-open, it is the probe. */
  enter(now: number): void {
    if (this.#isSuspect) this.#probedAt = now;
  }

  /** Blocks at least until `until`; `Infinity` is for good. */
  block(until: number, reason: string): void {
    this.#blockedUntil = Math.max(until, this.#isSuspect ? this.#blockedUntil : 0);
    this.#isSuspect = true;
    this.#probedAt = undefined;
    this.reason = reason;
  }

  /** Whether the call that passed at `enteredAt` passed after the latest block. */
  isProbe(enteredAt: number): boolean {
    return this.#isSuspect && enteredAt >= this.#blockedUntil;
  }

  /** Whether a failure of the call that passed at `enteredAt` is news, and not one of several that failed together. */
  isNews(enteredAt: number): boolean {
    return !this.#isSuspect || this.isProbe(enteredAt);
  }

  /** The call that passed at `enteredAt` succeeded. Returns whether the gate became healthy by it. */
  unblock(enteredAt: number): boolean {
    if (!this.isProbe(enteredAt)) return false;
    this.#isSuspect = false;
    this.#probedAt = undefined;
    this.#blockedUntil = 0;
    this.reason = undefined;
    return true;
  }

  /** The call that passed at `enteredAt` had no result: another call may probe. */
  releaseProbe(enteredAt: number): void {
    if (this.isProbe(enteredAt) && this.#probedAt === enteredAt) this.#probedAt = undefined;
  }
}
