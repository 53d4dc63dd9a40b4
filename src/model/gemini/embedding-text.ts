/** What a vector is for: to be found, or to find with. */
export type EmbeddingPurpose = 'document' | 'query';

/** What the embedding models read at most; the rest of a text is cut off. */
const mostTokens = 8000;

/** Models that take the task as a parameter; later ones take it as words before the text. */
const takesTaskType = /^(?:models\/)?(?:gemini-embedding-(?:exp|001)|text-embedding|embedding-001)/;

/** https://ai.google.dev/gemini-api/docs/embeddings: `taskType` has no effect with `gemini-embedding-2`. */
const prefixes: Readonly<Record<EmbeddingPurpose, string>> = {
  document: 'title: none | text: ',
  query: 'task: search result | query: ',
};

/** Four letters of Latin script a token, one of most others. Rather too many than too few. */
function estimateTokens(text: string): number {
  let tokens = 0;
  for (let index = 0; index < text.length; index++) tokens += text.charCodeAt(index) < 0x250 ? 0.25 : 1;
  return Math.ceil(tokens);
}

/** The beginning of a text that the model still reads, cut between characters. */
function cutToLimit(text: string): string {
  if (text.length <= mostTokens) return text;
  let tokens = 0;
  let end = 0;
  for (const character of text) {
    tokens += character.charCodeAt(0) < 0x250 ? 0.25 : character.length;
    if (tokens > mostTokens) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/** The texts as the model wants them for this purpose. */
export function formatForEmbedding(
  texts: readonly string[],
  purpose: EmbeddingPurpose,
  model: string,
): { readonly texts: readonly string[]; readonly taskType?: string } {
  if (takesTaskType.test(model)) {
    const taskType = purpose === 'document' ? 'RETRIEVAL_DOCUMENT' : 'RETRIEVAL_QUERY';
    // Gemini refuses an empty content.
    return { taskType, texts: texts.map((text) => cutToLimit(text) || ' ') };
  }
  return { texts: texts.map((text) => prefixes[purpose] + cutToLimit(text)) };
}

/** Expected input tokens of a batch. */
export function estimateEmbeddingTokens(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + estimateTokens(text), 0);
}
