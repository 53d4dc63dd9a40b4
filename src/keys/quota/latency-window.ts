const remembered = 256;
const recountedEvery = 16;
/** So many calls of a hundred are answered within what is taken for the usual time. */
const usualShare = 0.99;

/** How long calls to one model take, from the key in hand to the whole answer. */
export class LatencyWindow {
  readonly #times: number[] = [];
  #next = 0;
  #usualMs = 0;

  /** Within which nearly all of the latest calls were answered; 0 as long as none was. */
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
