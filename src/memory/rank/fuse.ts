import type { LexicalScores } from './term-index.js';
import type { Tuning } from './tuning.js';

/** What each document of a conversation scored, by position; higher is nearer to the query. */
export interface Evidence {
  readonly lexical: LexicalScores;
  /** Cosine with the query; NaN if a document has no vector yet. Absent without an embedder. */
  readonly dense?: Float64Array | undefined;
  /** 1 if the speaker of the document is named in the query. */
  readonly named?: Uint8Array | undefined;
}

/** One score from 0 to 1 for each document; 0 if it does not bear on the query. */
export function fuse({ lexical, dense, named }: Evidence, weights: Tuning): Float64Array {
  const { own, window } = lexical;
  const fused = new Float64Array(own.length);
  // No match is 0, the best 1. In a short conversation all may match nearly alike, and then all count.
  const bestOwn = highestOf(own) || 1;
  const bestWindow = highestOf(window) || 1;
  const range = dense && rangeOf(dense);
  const most = 1 + (named ? weights.named : 0);
  for (let document = 0; document < fused.length; document++) {
    const words =
      weights.own * ((own[document] as number) / bestOwn) +
      (1 - weights.own) * ((window[document] as number) / bestWindow);
    const meaning = dense && range ? ((dense[document] as number) - range.lowest) / range.size : Number.NaN;
    // Without a vector the words stand in for the meaning, so that a turn is not hidden until it is embedded.
    const found = Number.isNaN(meaning) ? words : (1 - weights.dense) * words + weights.dense * meaning;
    fused[document] = found > 0 ? (found + weights.named * (named?.[document] ?? 0)) / most : 0;
  }
  return fused;
}

function highestOf(scores: Float64Array): number {
  let highest = 0;
  for (let at = 0; at < scores.length; at++)
    if ((scores[at] as number) > highest) highest = scores[at] as number;
  return highest;
}

/** Cosines closer together than this differ by rounding only. */
const leastRange = 1e-4;

/** For min-max: the farthest becomes 0, the nearest 1. Undefined if all are equally near. */
function rangeOf(scores: Float64Array): { readonly lowest: number; readonly size: number } | undefined {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < scores.length; at++) {
    const score = scores[at] as number;
    if (score < lowest) lowest = score;
    if (score > highest) highest = score;
  }
  const size = highest - lowest;
  return size < leastRange ? undefined : { lowest, size };
}
