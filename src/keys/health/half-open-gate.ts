import type { FailureKind } from '../../core/failure.js';

/** A gate that is not healthy, as plain data. */
export interface GateState {
  /** When the block ends; `null` when never. */
  readonly until: number | null;
  /** The kind of the failure that blocked it. */
  readonly why: FailureKind;
  readonly probedAt?: number | undefined;
}

/**
 * A circuit breaker for one thing that calls depend on: a key, a project, a quota or a model. Healthy
 * until it is blocked; once the block is over, a single probe decides whether it is healthy again.
 */
export class HalfOpenGate {
  /** Why it was blocked, in one sentence. */
  reason: string | undefined;
  /** The kind of the failure that blocked it; `undefined` while healthy. */
  why: FailureKind | undefined;
  #blockedUntil = 0;
  #probedAt: number | undefined;
  /** A probe without result keeps other calls out no longer than this. */
  readonly #probeMs: number;

  constructor(probeMs: number) {
    this.#probeMs = probeMs;
  }

  /** Neither blocked nor half-open. */
  get isHealthy(): boolean {
    return this.why === undefined;
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
    if (this.why === undefined) return 0;
    if (optimistic || now < this.#blockedUntil || this.#probedAt === undefined) return this.#blockedUntil;
    return this.#probedAt + this.#probeMs;
  }

  /** A call passes. While half-open, it is the probe. */
  enter(now: number): void {
    if (this.why !== undefined) this.#probedAt = now;
  }

  /** Blocks at least until `until`; `Infinity` is for good. */
  block(until: number, { kind, message }: { readonly kind: FailureKind; readonly message: string }): void {
    this.#blockedUntil = Math.max(until, this.#blockedUntil);
    this.#probedAt = undefined;
    this.why = kind;
    this.reason = message;
  }

  /** Whether the call that passed at `enteredAt` passed after the latest block. */
  isProbe(enteredAt: number): boolean {
    return this.why !== undefined && enteredAt >= this.#blockedUntil;
  }

  /** Whether a failure of the call that passed at `enteredAt` is news, and not one of several that failed together. */
  isNews(enteredAt: number): boolean {
    return this.why === undefined || this.isProbe(enteredAt);
  }

  /** The call that passed at `enteredAt` succeeded. Returns whether the gate became healthy by it. */
  unblock(enteredAt: number): boolean {
    if (!this.isProbe(enteredAt)) return false;
    this.#probedAt = undefined;
    this.#blockedUntil = 0;
    this.why = undefined;
    this.reason = undefined;
    return true;
  }

  /** The call that passed at `enteredAt` had no result: another call may probe. */
  releaseProbe(enteredAt: number): void {
    if (this.isProbe(enteredAt) && this.#probedAt === enteredAt) this.#probedAt = undefined;
  }

  /** `undefined` while healthy. The sentence stays in this process, because it may name a project. */
  save(): GateState | undefined {
    if (this.why === undefined) return undefined;
    const until = this.#blockedUntil === Number.POSITIVE_INFINITY ? null : this.#blockedUntil;
    return { until, why: this.why, probedAt: this.#probedAt };
  }

  load(state: GateState | undefined): void {
    if (state === undefined) {
      this.unblock(Number.POSITIVE_INFINITY);
      return;
    }
    const until = state.until ?? Number.POSITIVE_INFINITY;
    if (this.why !== state.why || this.#blockedUntil !== until) {
      this.reason = `another process was refused (${state.why}).`;
    }
    this.why = state.why;
    this.#blockedUntil = until;
    this.#probedAt = state.probedAt;
  }
}
