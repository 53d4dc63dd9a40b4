/** Accepted by everything that waits. */
export interface AbortOptions {
  /** Aborting it stops the work and rejects with `signal.reason`, untouched. */
  readonly signal?: AbortSignal | undefined;
}
