/** The row of a session, as read last. */
export interface SessionState {
  readonly id: number;
  readonly next_sequence: number;
  readonly epoch: number;
  readonly vector_version: number;
}
