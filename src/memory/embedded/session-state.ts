/** What the file says about a session now. */
export interface SessionState {
  readonly id: number;
  readonly next_sequence: number;
  readonly epoch: number;
  readonly vector_version: number;
}
