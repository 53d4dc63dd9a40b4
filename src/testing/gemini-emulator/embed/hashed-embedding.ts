/** Words that say little about what a text is about. */
const commonWords = new Set(
  (
    'a an and are as at be but by did do does for from had has have he her his i in is it its me my no not ' +
    'of on or our she so that the their them then there they this to was we were what when where which who ' +
    'why will with you your'
  ).split(' '),
);
const commonWeight = 0.15;
const pairWeight = 0.5;

/** The task prefix of `gemini-embedding-2` in front of a text. */
const taskPrefix = /^(?:task: [^|]*\| query: |title: [^|]*\| text: )/;

/**
 * A deterministic embedding of words and pairs of words by feature hashing (Weinberger et al. 2009):
 * texts that share words are near, others nearly orthogonal. The vector has length 1, or is all zeros
 * for a text without a word.
 *
 * @param dimensions Default 3072, as Gemini's.
 */
export function embedByHashing(text: string, dimensions = 3072): Float32Array {
  const vector = new Float32Array(dimensions);
  let previous: string | undefined;
  for (const [word] of text
    .replace(taskPrefix, '')
    .toLowerCase()
    .matchAll(/[\p{L}\p{N}]+/gu)) {
    const isCommon = commonWords.has(word);
    const stem = stemOf(word);
    addFeature(vector, stem, isCommon ? commonWeight : 1);
    if (previous !== undefined && !isCommon) addFeature(vector, `${previous} ${stem}`, pairWeight);
    if (!isCommon) previous = stem;
  }
  const length = Math.hypot(...nonZero(vector));
  if (length > 0)
    for (let index = 0; index < dimensions; index++) vector[index] = (vector[index] ?? 0) / length;
  return vector;
}

/** Strips the commonest English endings; good enough to bring `mountains` to `mountain`. */
function stemOf(word: string): string {
  if (word.length < 5) return word.length === 4 ? word.replace(/s$/, '') : word;
  return word.replace(/(?:ies|y)$/, 'i').replace(/(?:ing|edly|ed|ly|es|s|e)$/, '');
}

function addFeature(vector: Float32Array, feature: string, weight: number): void {
  const hash = fnv1a(feature);
  const index = hash % vector.length;
  // The sign bit is taken from a second mixing, so that it does not depend on the index.
  const sign = Math.imul(hash, 0x9e3779b1) >>> 31 ? -1 : 1;
  vector[index] = (vector[index] ?? 0) + sign * weight;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

const nonZero = (vector: Float32Array) => vector.filter((value) => value !== 0);
