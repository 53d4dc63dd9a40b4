import { MemoryError } from '../../core/errors.js';

/** Errors of the client that may be gone at the next try. */
const passing = new Set(['ChromaConnectionError', 'ChromaServerError', 'ChromaRateLimitError']);

export const isPassing = (error: unknown): boolean => passing.has((error as Error | undefined)?.name ?? '');

const explanations: Readonly<Record<string, (url: string) => string>> = {
  ChromaConnectionError: (url) =>
    `Chroma cannot be reached at ${url}. Is it running ("npx chroma run"), and is CHROMA_URL right?`,
  ChromaAuthError: (url) => `Chroma at ${url} refused the token. Check the token, tenant and database.`,
  ChromaForbiddenError: (url) =>
    `Chroma at ${url} does not allow this. Check the rights of the token on the tenant and database.`,
  ChromaNotFoundError: (url) =>
    `Chroma at ${url} does not know the tenant or database, or is older than its 1.0. Check both.`,
  ChromaQuotaExceededError: (url) => `Chroma at ${url} refused: a quota of the account is used up.`,
  ChromaRateLimitError: (url) => `Chroma at ${url} gets too many requests. Try again later.`,
};

/** A `MemoryError` that explains what to do. Errors that are one already pass through. */
export function explainChromaFailure(url: string, cause: unknown): MemoryError {
  if (MemoryError.isInstance(cause)) return cause;
  const { name, message, code } = (cause ?? {}) as { name?: string; message?: string; code?: string };
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') {
    return new MemoryError('The package "chromadb" is not installed. Run "npm install chromadb".', { cause });
  }
  const [, held, given] = /dimension of (\d+), got (\d+)/.exec(message ?? '') ?? [];
  if (held !== undefined) {
    return new MemoryError(
      `The collection on Chroma at ${url} holds vectors of ${held} numbers, but the embedder gave one of ${given}. Use another collectionPrefix, or the embedder that made them.`,
      { cause },
    );
  }
  const sentence = explanations[name ?? '']?.(url) ?? `Chroma at ${url} failed: ${message ?? String(cause)}`;
  return new MemoryError(sentence, { cause });
}
