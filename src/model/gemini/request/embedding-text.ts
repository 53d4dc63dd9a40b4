import { estimateTextTokens } from '../../../core/estimate-tokens.js';

type EmbeddingPurpose = 'document' | 'query';

/** The embedding models read at most 8,192 tokens, the prefix among them. */
const maxTokens = 8000;
/** The estimate of a Latin letter is a quarter of a token, the lowest there is. */
const maxCharacters = 4 * maxTokens;

/** Models that take the task as a parameter; later ones take it as words before the text. */
const takesTaskType = /^(?:models\/)?(?:gemini-embedding-(?:exp|001)|text-embedding|embedding-001)/;

/** https://ai.google.dev/gemini-api/docs/embeddings: `taskType` has no effect with `gemini-embedding-2`. */
const prefixes: Readonly<Record<EmbeddingPurpose, string>> = {
  document: 'title: none | text: ',
  query: 'task: search result | query: ',
};

/** The longest beginning of a text that the model still reads, cut between characters. */
function cutToLimit(text: string): string {
  const longest = text.slice(0, maxCharacters);
  if (longest.length === text.length && estimateTextTokens(text) <= maxTokens) return text;
  let [fits, end] = [0, longest.length];
  while (fits < end) {
    const middle = Math.ceil((fits + end) / 2);
    if (estimateTextTokens(longest.slice(0, middle)) <= maxTokens) fits = middle;
    else end = middle - 1;
  }
  return withoutHalfCharacter(longest.slice(0, fits));
}

/** A cut between the two code units of a character leaves the first. */
const withoutHalfCharacter = (text: string) => text.replace(/[\uD800-\uDBFF]$/, '');

/** The texts in the form that the model takes for this purpose. */
export function formatForEmbedding(
  texts: readonly string[],
  purpose: EmbeddingPurpose,
  model: string,
): { readonly texts: readonly string[]; readonly taskType?: string } {
  if (takesTaskType.test(model)) {
    const taskType = purpose === 'document' ? 'RETRIEVAL_DOCUMENT' : 'RETRIEVAL_QUERY';
    // Gemini refuses empty content.
    return { taskType, texts: texts.map((text) => cutToLimit(text) || ' ') };
  }
  return { texts: texts.map((text) => prefixes[purpose] + cutToLimit(text)) };
}

/** Expected input tokens of a batch. */
export function estimateEmbeddingTokens(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + estimateTextTokens(text), 0);
}
