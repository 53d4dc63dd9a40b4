import type { AnswerInfo, SafetyRating } from '../../../core/message.js';
import type { Usage } from '../../../core/usage.js';
import { isObject, type Json, nonEmptyText, numberIn, objectsIn, withoutAbsent } from '../json.js';

const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

/** The counts that were sent; undefined if there were none. */
export function readUsage(metadata: Json | undefined): Usage | undefined {
  const count = (name: string) => {
    const value = numberIn(metadata?.[name]);
    return value !== undefined && value >= 0 ? value : undefined;
  };
  const usage: Usage = withoutAbsent({
    inputTokens: count('promptTokenCount'),
    outputTokens: count('candidatesTokenCount'),
    thoughtTokens: count('thoughtsTokenCount'),
    totalTokens: count('totalTokenCount'),
    cachedInputTokens: count('cachedContentTokenCount'),
    toolTokens: count('toolUsePromptTokenCount'),
  });
  return Object.keys(usage).length === 0 ? undefined : usage;
}

function readSafetyRatings(value: unknown): readonly SafetyRating[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const ratings = objectsIn(value).flatMap(({ blocked, category, probability }): SafetyRating[] => {
    if (typeof category !== 'string' || typeof probability !== 'string') return [];
    return [{ category, probability, ...(typeof blocked === 'boolean' && { blocked }) }];
  });
  return ratings.length === 0 ? undefined : ratings;
}

/** Collects what the chunks of one answer say about it. The last value of a field counts. */
export class AnswerInfoReader {
  #responseId: string | undefined;
  #modelVersion: string | undefined;
  #rawFinishReason: string | undefined;
  #finishMessage: string | undefined;
  #ratings: readonly SafetyRating[] | undefined;
  #promptRatings: readonly SafetyRating[] | undefined;
  readonly #queries = new Set<string>();
  #html: string | undefined;

  push(chunk: Json, candidate: Json | undefined, finishReason: string | undefined): void {
    this.#responseId = nonEmptyText(chunk.responseId) ?? this.#responseId;
    this.#modelVersion = nonEmptyText(chunk.modelVersion) ?? this.#modelVersion;
    if (finishReason !== undefined) this.#rawFinishReason = String(candidate?.finishReason);
    if (isObject(chunk.promptFeedback))
      this.#promptRatings = readSafetyRatings(chunk.promptFeedback.safetyRatings) ?? this.#promptRatings;
    if (candidate === undefined) return;
    this.#finishMessage = nonEmptyText(candidate.finishMessage) ?? this.#finishMessage;
    this.#ratings = readSafetyRatings(candidate.safetyRatings) ?? this.#ratings;
    if (isObject(candidate.groundingMetadata)) this.#pushGrounding(candidate.groundingMetadata);
  }

  /** Undefined if nothing was said. */
  read(): AnswerInfo | undefined {
    const queries = [...this.#queries];
    const html = this.#html;
    const info = withoutAbsent({
      responseId: this.#responseId,
      modelVersion: this.#modelVersion,
      rawFinishReason: this.#rawFinishReason,
      finishMessage: this.#finishMessage,
      // Ratings of the prompt only count if there are none of the answer.
      safetyRatings: this.#ratings ?? this.#promptRatings,
      searchSuggestions:
        queries.length > 0 || html !== undefined
          ? { queries, ...(html !== undefined && { html }) }
          : undefined,
    });
    return Object.keys(info).length === 0 ? undefined : info;
  }

  #pushGrounding(grounding: Json): void {
    for (const name of ['webSearchQueries', 'imageSearchQueries', 'retrievalQueries'] as const)
      for (const query of textsIn(grounding[name])) this.#queries.add(query);
    const entry = grounding.searchEntryPoint;
    this.#html = (isObject(entry) ? nonEmptyText(entry.renderedContent) : undefined) ?? this.#html;
  }
}
