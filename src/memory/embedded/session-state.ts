/** The row of a session, as read last. */
export interface SessionState {
  readonly id: number;
  readonly next_sequence: number;
  /** Of the latest turn. */
  readonly last_sequence: number;
  readonly turns: number;
  readonly epoch: number;
  readonly vector_version: number;
}
