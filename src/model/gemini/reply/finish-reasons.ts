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

/** Names of numbers that ProtoJSON allows in their place. Later ones differ between Google's services. */
const finishReasonsByNumber = ['', 'STOP', 'MAX_TOKENS', 'SAFETY', 'RECITATION', 'OTHER'];
const blockReasonsByNumber = ['', 'SAFETY', 'OTHER', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'IMAGE_SAFETY'];

/** What gateways to several providers say in place of Gemini's names. */
const foreignNames: Readonly<Record<string, string>> = {
  CONTENT_FILTER: 'SAFETY',
  END_TURN: 'STOP',
  FUNCTION_CALL: 'STOP',
  LENGTH: 'MAX_TOKENS',
  STOP_SEQUENCE: 'STOP',
  TOOL_CALLS: 'STOP',
  TOOL_USE: 'STOP',
};

function readReason(value: unknown, byNumber: readonly string[], prefix: RegExp): string | undefined {
  const text = typeof value === 'number' ? (byNumber[value] ?? `NUMBER_${value}`) : value;
  if (typeof text !== 'string') return undefined;
  const name = text.trim().toUpperCase().replace(prefix, '');
  // Servers also send placeholders, which end nothing.
  return name === '' || name.endsWith('UNSPECIFIED') ? undefined : (foreignNames[name] ?? name);
}

/** The finish reason of a candidate, however it is spelled. */
export const readFinishReason = (value: unknown): string | undefined =>
  readReason(value, finishReasonsByNumber, /^FINISH_REASON_/);

/** Why the prompt was refused, if it was. */
export const readBlockReason = (value: unknown): string | undefined =>
  readReason(value, blockReasonsByNumber, /^BLOCK(?:ED)?_REASON_/);
