const remembered = 256;
const recountedEvery = 16;
/** Quantile of the latencies that counts as usual. */
const usualShare = 0.99;

/** How long calls to one model take, from the lease to the whole answer. */
export class LatencyWindow {
  readonly #times: number[] = [];
  #next = 0;
  #usualMs = 0;

  /** Nearly all of the latest calls were answered within this time; 0 until enough were. */
  get usualMs(): number {
    return this.#usualMs;
  }

  add(durationMs: number): void {
    this.#times[this.#next % remembered] = durationMs;
    this.#next += 1;
    if (this.#next % recountedEvery !== 0) return;
    const sorted = [...this.#times].sort((a, b) => a - b);
    this.#usualMs = sorted[Math.floor(sorted.length * usualShare)] ?? 0;
  }
}
