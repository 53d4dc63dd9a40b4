export const firstInFlight = 4;
export const slowStartEndsAt = 64;
/** A refusal takes it down to a part of what ran, but never below this. */
const leastInFlight = 2;

/** How many calls may run at once against limits that are not known: grows with answers, falls with refusals. */
export class InFlightCap {
  readonly #most: number;
  #cap = firstInFlight;

  constructor(most: number) {
    this.#most = most;
  }

  get value(): number {
    return Math.min(this.#cap, this.#most);
  }

  /** A call was answered while `inFlight` others ran. */
  succeed(inFlight: number): void {
    // A cap that is not used proves nothing and would only allow a burst later.
    if ((inFlight + 1) * 2 <= this.#cap) return;
    const step = this.#cap < slowStartEndsAt ? 1 : 1 / this.#cap;
    this.#cap = Math.min(this.#most, this.#cap + step);
  }

  /** A call was refused while `inFlight` others ran. */
  cut(inFlight: number): void {
    this.#cap = Math.max(leastInFlight, Math.min(inFlight, this.#cap) / 4);
  }
}
