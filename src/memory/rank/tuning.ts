/** The numbers that decide how turns are ranked. */
export interface Tuning {
  /** Weight of the turn's own words; the neighborhood gets `1 - own`. */
  readonly own: number;
  /** How much the words of a neighbor count for a turn, by its distance: 1, 2, … */
  readonly neighbors: readonly number[];
  /** Added if the speaker is named in the query. */
  readonly named: number;
  /** Weight of the meaning if there are vectors; the words get the rest to 1. */
  readonly dense: number;
  /** `k1` of BM25: how much the second occurrence of a word still counts. */
  readonly saturation: number;
  /** `b` of BM25: how much long turns are marked down. */
  readonly lengthWeight: number;
}

/**
 * Found on LoCoMo by turn-level evidence recall; `bench:memory -- --split` measures them on
 * held-out conversations. An answer often stands beside the turn that shares the
 * question's words, so a turn with its neighbors weighs more than the turn alone.
 */
export const shippedTuning: Tuning = {
  own: 0.15,
  neighbors: [1, 0.5],
  named: 0.1,
  dense: 0.4,
  saturation: 0.9,
  lengthWeight: 0.4,
};
