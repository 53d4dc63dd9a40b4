/**
 * Closes for a while and then lets a single probe through: what it meets decides whether the gate
 * opens again. Keys, projects, quotas and models each have one.
 */
export class HalfOpenGate {
  /** Why the gate was closed, in one sentence. */
  reason: string | undefined;
  #closedUntil = 0;
  #suspect = false;
  #probedAt: number | undefined;
  /** A probe that has heard nothing for so long no longer keeps others out. */
  readonly #probeMs: number;

  constructor(probeMs: number) {
    this.#probeMs = probeMs;
  }

  /** Whether nothing is held against what is behind the gate. */
  get isHealthy(): boolean {
    return !this.#suspect;
  }

  /** Until when the gate lets nobody through; in the past when it is open or may be probed. */
  get blockedUntil(): number {
    return this.#closedUntil;
  }

  /**
   * When the next call may pass; in the past when it may pass now. `optimistic` takes it that a probe under
   * way meets nothing bad, which may show any moment.
   */
  allowsAt(now: number, optimistic = false): number {
    if (!this.#suspect) return 0;
    if (optimistic || now < this.#closedUntil || this.#probedAt === undefined) return this.#closedUntil;
    return this.#probedAt + this.#probeMs;
  }

  /** A call passes. If the gate is not fully open, this is the probe. */
  enter(now: number): void {
    if (this.#suspect) this.#probedAt = now;
  }

  /** Closes at least until `until`; `Infinity` is for good. */
  block(until: number, reason: string): void {
    this.#closedUntil = Math.max(until, this.#suspect ? this.#closedUntil : 0);
    this.#suspect = true;
    this.#probedAt = undefined;
    this.reason = reason;
  }

  /** Whether a call that passed at `enteredAt` says anything about the latest closing. */
  isProbe(enteredAt: number): boolean {
    return this.#suspect && enteredAt >= this.#closedUntil;
  }

  /** The call that passed at `enteredAt` proved that all is well. Returns whether that opened the gate. */
  unblock(enteredAt: number): boolean {
    if (!this.isProbe(enteredAt)) return false;
    this.#suspect = false;
    this.#probedAt = undefined;
    this.#closedUntil = 0;
    this.reason = undefined;
    return true;
  }

  /** The call that passed at `enteredAt` proved nothing: another may probe. */
  releaseProbe(enteredAt: number): void {
    if (this.isProbe(enteredAt) && this.#probedAt === enteredAt) this.#probedAt = undefined;
  }
}
