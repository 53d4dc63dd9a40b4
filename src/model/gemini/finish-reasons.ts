/** What a finish reason of Gemini means for the call. */
export type FinishMeaning =
  | 'stop'
  | 'max-tokens'
  /** The answer goes on in another call. */
  | 'continuation'
  /** The model or its filters refused. */
  | 'refusal'
  /** The model failed to answer; the same prompt may succeed next time. */
  | 'accident'
  /** The history lacks a thought signature: every attempt meets this again. */
  | 'bad-history'
  /** Not known here. What was said is kept. */
  | 'unknown';

const reasonsByMeaning = {
  stop: ['STOP'],
  'max-tokens': ['MAX_TOKENS'],
  continuation: ['CONTINUATION'],
  refusal: [
    ...['SAFETY', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'RECITATION', 'LANGUAGE', 'MODEL_ARMOR'],
    ...['IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT', 'IMAGE_RECITATION'],
  ],
  accident: ['OTHER', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'NO_IMAGE', 'IMAGE_OTHER'],
  'bad-history': ['MISSING_THOUGHT_SIGNATURE'],
} as const satisfies Partial<Record<FinishMeaning, readonly string[]>>;

const meanings: ReadonlyMap<string, FinishMeaning> = new Map(
  Object.entries(reasonsByMeaning).flatMap(([meaning, reasons]) =>
    reasons.map((reason) => [reason, meaning as FinishMeaning] as const),
  ),
);

/** Sorted by https://ai.google.dev/api/generate-content#FinishReason */
export function meaningOf(reason: string): FinishMeaning {
  return meanings.get(reason) ?? (reason.startsWith('MALFORMED_') ? 'accident' : 'unknown');
}

/** The finish reason of a candidate. Servers also send placeholders, which end nothing. */
export function readFinishReason(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && !value.endsWith('_UNSPECIFIED') ? value : undefined;
}
