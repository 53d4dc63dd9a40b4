const firstInFlight = 4;
const slowStartEndsAt = 64;
const leastInFlight = 2;
/** A refusal divides the calls that ran by this. */
const inFlightDivisor = 4;

/** How many calls may run at once against unknown limits: grows with successes, falls with refusals. */
export class InFlightCap {
  readonly #most: number;
  cap = firstInFlight;

  constructor(most: number) {
    this.#most = most;
  }

  get value(): number {
    return Math.min(this.cap, this.#most);
  }

  /** A call succeeded while `inFlight` others ran. */
  succeed(inFlight: number): void {
    // A cap that is not used proves nothing and would only allow a burst later.
    if ((inFlight + 1) * 2 <= this.cap) return;
    const step = this.cap < slowStartEndsAt ? 1 : 1 / this.cap;
    this.cap = Math.min(this.#most, this.cap + step);
  }

  /** A call was refused while `inFlight` others ran. */
  cut(inFlight: number): void {
    this.cap = Math.max(leastInFlight, Math.min(inFlight, this.cap) / inFlightDivisor);
  }
}
