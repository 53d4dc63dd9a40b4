/** One request in the log. `tokens` changes once the real usage is known. */
export interface LogEntry {
  readonly at: number;
  tokens: number;
  /** Requests that the entry stands for: 1, or 0 once it was refunded. */
  requests: number;
}

/**
 * The requests and input tokens of the last `windowMs`. Admitting no more than a limit in any window
 * of the log is safe for a server that counts in sliding windows, in fixed ones or with a token bucket;
 * a client-side token bucket is not.
 */
export class SlidingLog {
  windowMs: number;
  #entries: LogEntry[] = [];
  /** Entries before this index have left the window. */
  #first = 0;
  #requests = 0;
  #tokens = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  requests(now: number): number {
    this.#evict(now);
    return this.#requests;
  }

  tokens(now: number): number {
    this.#evict(now);
    return this.#tokens;
  }

  /** What was charged before `at` and is still in the window. */
  before(at: number, now: number): { readonly requests: number; readonly tokens: number } {
    this.#evict(now);
    let requests = this.#requests;
    let tokens = this.#tokens;
    for (let i = this.#entries.length - 1; i >= this.#first; i -= 1) {
      const entry = this.#entries[i];
      if (entry === undefined || entry.at < at) break;
      requests -= entry.requests;
      tokens -= entry.tokens;
    }
    return { requests, tokens };
  }

  /** Charges one request. Time never runs backwards: an earlier `now` counts as the latest one. */
  add(tokens: number, now: number): LogEntry {
    this.#evict(now);
    const entry = { at: Math.max(now, this.#entries.at(-1)?.at ?? now), tokens, requests: 1 };
    this.#entries.push(entry);
    this.#requests += 1;
    this.#tokens += tokens;
    return entry;
  }

  /** Replaces the estimate of an entry by what it really cost. */
  amend(entry: LogEntry, tokens: number, now: number): void {
    if (this.#holds(entry, now)) this.#tokens += tokens - entry.tokens;
    entry.tokens = tokens;
  }

  /** Takes back an entry that cost no quota. */
  refund(entry: LogEntry, now: number): void {
    if (this.#holds(entry, now)) {
      this.#requests -= entry.requests;
      this.#tokens -= entry.tokens;
    }
    entry.requests = 0;
    entry.tokens = 0;
  }

  /**
   * When one more request of `tokens` tokens fits under the limits, provided that nothing else is added;
   * `Infinity` when it never does.
   */
  freeAt(tokens: number, maxRequests: number, maxTokens: number, now: number): number {
    this.#evict(now);
    if (tokens > maxTokens || maxRequests < 1) return Number.POSITIVE_INFINITY;
    let spareRequests = maxRequests - this.#requests - 1;
    let spareTokens = maxTokens - this.#tokens - tokens;
    let at = now;
    for (let i = this.#first; spareRequests < 0 || spareTokens < 0; i += 1) {
      const entry = this.#entries[i];
      if (entry === undefined) break;
      spareRequests += entry.requests;
      spareTokens += entry.tokens;
      at = entry.at + this.windowMs;
    }
    return at;
  }

  /** When the oldest entry leaves the window; `now` when there is none. */
  oldestLeavesAt(now: number): number {
    this.#evict(now);
    return (this.#entries[this.#first]?.at ?? now - this.windowMs) + this.windowMs;
  }

  /** Drops all entries: the server has started a new window. */
  clear(): void {
    this.#entries = [];
    this.#first = 0;
    this.#requests = 0;
    this.#tokens = 0;
  }

  /** How many requests leave the window by `at`. */
  requestsLeavingBy(at: number): number {
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle]?.at ?? 0) + this.windowMs <= at) low = middle + 1;
      else high = middle;
    }
    return low - this.#first;
  }

  /** Merges a log that turned out to count against the same quota. */
  absorb(other: SlidingLog): void {
    this.windowMs = Math.max(this.windowMs, other.windowMs);
    this.#entries = [...this.#entries.slice(this.#first), ...other.#entries.slice(other.#first)].sort(
      (a, b) => a.at - b.at,
    );
    this.#first = 0;
    this.#requests += other.#requests;
    this.#tokens += other.#tokens;
  }

  #holds(entry: LogEntry, now: number): boolean {
    this.#evict(now);
    const oldest = this.#entries[this.#first];
    // Entries of one instant leave together, so the time alone shows whether this one is still held.
    return oldest !== undefined && entry.at >= oldest.at;
  }

  #evict(now: number): void {
    for (;;) {
      const oldest = this.#entries[this.#first];
      if (oldest === undefined || oldest.at + this.windowMs > now) break;
      this.#requests -= oldest.requests;
      this.#tokens -= oldest.tokens;
      this.#first += 1;
    }
    // Compacting by halves keeps eviction cheap on average.
    if (this.#first > 64 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}
