/** The numbers that decide how turns are ranked. */
export interface Tuning {
  /** Weight of a turn's own words; the rest to 1 is that of the turn read together with its neighbours. */
  readonly own: number;
  /** How much the words of a neighbour count for a turn, by its distance: 1, 2, … */
  readonly neighbours: readonly number[];
  /** What is added where the speaker is named in the query. */
  readonly named: number;
  /** Weight of the meaning, where vectors are there; the rest to 1 is that of the words. */
  readonly dense: number;
  /** `k1` of BM25: how much the second occurrence of a word still counts. */
  readonly saturation: number;
  /** `b` of BM25: how much long turns are marked down. */
  readonly lengthWeight: number;
}

/**
 * Found on LoCoMo by turn-level evidence recall; `bench:memory -- --split` tells how they do on
 * conversations that had no part in it. An answer often stands beside the turn that shares the
 * question's words, which is why a turn with its neighbours weighs more than the turn alone.
 */
export const shippedTuning: Tuning = {
  own: 0.15,
  neighbours: [1, 0.5],
  named: 0.1,
  dense: 0.4,
  saturation: 0.9,
  lengthWeight: 0.4,
};
