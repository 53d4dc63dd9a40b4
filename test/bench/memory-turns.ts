import { type Turn, toTurn } from '../../src/core/turn.js';
import type { Embedder } from '../../src/memory/embedder.js';

/** What the stores are filled with: the same in every run. */

export const dimensions = 768;

/** Words drawn by a rule of their own, so that every run has the same texts: few common, many rare. */
export function makeText(seed: number, words: number): string {
  let state = (seed * 2_654_435_761) >>> 0;
  return Array.from({ length: words }, () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return `word${Math.floor(20_000 ** (state / 2 ** 32))}`;
  }).join(' ');
}

export function makeVector(text: string): Float32Array {
  const vector = new Float32Array(dimensions);
  let state = text.length;
  for (let at = 0; at < dimensions; at++) {
    state = (state * 1_664_525 + 1_013_904_223 + text.charCodeAt(at % text.length)) >>> 0;
    vector[at] = state / 2 ** 32 - 0.5;
  }
  const length = Math.hypot(...vector);
  return vector.map((component) => component / length);
}

/** Costs next to nothing, so that the store is measured. */
export const embedder: Embedder = {
  model: 'bench',
  dimensions,
  embed: async (texts) => texts.map(makeVector),
};

export const makeTurn = (n: number, sessionId: string): Turn =>
  toTurn({
    tenant: 'bench',
    sessionId,
    id: `turn-${n}`,
    createdAt: 1_700_000_000_000 + n,
    prompt: makeText(n, 20),
    reply: makeText(n + 500_000_000, 60),
  });
