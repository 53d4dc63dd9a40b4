/** Requests that were charged at one moment. */
interface LogEntry {
  readonly at: number;
  requests: number;
  tokens: number;
}

/** The moments of a saved log. More are merged with later ones, which is safe: they leave the window later. */
const mostSaved = 256;

/**
 * The requests and input tokens of the last `windowMs`. Admitting no more than a limit in any window
 * of the log is safe for a server that counts in sliding windows, in fixed ones or with a token bucket;
 * a client-side token bucket is not.
 */
export class SlidingLog {
  #windowMs: number;
  #entries: LogEntry[] = [];
  /** Entries before this index have left the window. */
  #first = 0;
  #requests = 0;
  #tokens = 0;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  get windowMs(): number {
    return this.#windowMs;
  }

  /** What has left the shorter window does not come back, whether it was looked at since or not. */
  widen(windowMs: number, now: number): void {
    this.#evict(now);
    this.#windowMs = Math.max(this.#windowMs, windowMs);
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

  /** Charges one request. Time never runs backwards: an earlier `now` counts as the latest one. Returns the time that it is charged to. */
  add(tokens: number, now: number): number {
    this.#evict(now);
    const last = this.#entries.at(-1);
    const at = Math.max(now, last?.at ?? now);
    this.#requests += 1;
    this.#tokens += tokens;
    if (last?.at === at && this.#entries.length > this.#first) {
      last.requests += 1;
      last.tokens += tokens;
    } else {
      this.#entries.push({ at, requests: 1, tokens });
    }
    return at;
  }

  /** Charges requests of an earlier moment. */
  insert(at: number, requests: number, tokens: number, now: number): void {
    this.#evict(now);
    if (at + this.windowMs <= now) return;
    const place = this.#placeOf(at);
    const entry = this.#entries[place];
    if (entry?.at === at) {
      entry.requests += requests;
      entry.tokens += tokens;
    } else {
      this.#entries.splice(place, 0, { at, requests, tokens });
    }
    this.#requests += requests;
    this.#tokens += tokens;
  }

  /** Corrects what was charged at `at`, by one request and some tokens at most. */
  correct(at: number, requests: number, tokens: number, now: number): void {
    this.#evict(now);
    const oldest = this.#entries[this.#first];
    if (oldest === undefined || at + this.windowMs <= now) return;
    const entry = this.#entries[this.#placeOf(at)];
    if (entry === undefined || entry.requests + requests < 0) return;
    const tokenChange = Math.max(-entry.tokens, tokens);
    entry.requests += requests;
    entry.tokens += tokenChange;
    this.#requests += requests;
    this.#tokens += tokenChange;
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

  /** How many requests leave the window by `at`. */
  requestsLeavingBy(at: number): number {
    let requests = 0;
    for (let i = this.#first; i < this.#entries.length; i += 1) {
      const entry = this.#entries[i];
      if (entry === undefined || entry.at + this.windowMs > at) break;
      requests += entry.requests;
    }
    return requests;
  }

  /**
   * Merges a log of the same quota.
   *
   * @param isSame Whether it counted the same calls, so that those of one moment count once.
   */
  absorb(other: SlidingLog, now: number, isSame = false): void {
    this.widen(other.windowMs, now);
    for (let i = other.#first; i < other.#entries.length; i += 1) {
      const entry = other.#entries[i];
      if (entry === undefined) continue;
      const known = isSame ? this.#entries[this.#placeOf(entry.at)] : undefined;
      const counted = known?.at === entry.at ? known : { requests: 0, tokens: 0 };
      const requests = Math.max(0, entry.requests - counted.requests);
      this.insert(entry.at, requests, Math.max(0, entry.tokens - counted.tokens), now);
    }
  }

  /** Time, requests and tokens of each moment in turn, oldest first. */
  save(now: number): number[] {
    this.#evict(now);
    const count = this.#entries.length - this.#first;
    const step = Math.ceil(count / mostSaved);
    const saved: number[] = [];
    for (let end = this.#entries.length; end > this.#first; end -= step) {
      let requests = 0;
      let tokens = 0;
      for (let i = Math.max(this.#first, end - step); i < end; i += 1) {
        requests += this.#entries[i]?.requests ?? 0;
        tokens += this.#entries[i]?.tokens ?? 0;
      }
      saved.unshift(this.#entries[end - 1]?.at ?? now, requests, tokens);
    }
    return saved;
  }

  load(saved: readonly number[], windowMs: number): void {
    this.#windowMs = windowMs;
    this.#entries = [];
    this.#first = 0;
    this.#requests = 0;
    this.#tokens = 0;
    for (let i = 0; i + 2 < saved.length; i += 3) {
      const [at = 0, requests = 0, tokens = 0] = saved.slice(i, i + 3);
      this.#entries.push({ at, requests, tokens });
      this.#requests += requests;
      this.#tokens += tokens;
    }
  }

  /** The place of the first entry that is not older than `at`. */
  #placeOf(at: number): number {
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle]?.at ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return low;
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
