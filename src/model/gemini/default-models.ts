/** Answers unless an option or `GEMINI_MODEL` names another. */
export const defaultChatModel = 'gemini-3.8-flash';

/** Tried in this order if the chosen model is overloaded, retired or out of quota. */
export const defaultFallbackModels: readonly string[] = ['gemini-3.5-flash-lite'];

/** Writes summaries of earlier turns: cheap, with quotas of its own. */
export const defaultSummaryModel = 'gemini-3.5-flash-lite';

/** Multimodal, 8,192 input tokens, up to 3,072 dimensions that may be shortened. */
export const defaultEmbeddingModel = 'gemini-embedding-2';

/** Google names 768, 1,536 and 3,072 as good lengths; the shortest keeps memory small. */
export const defaultEmbeddingDimensions = 768;
