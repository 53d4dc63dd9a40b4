import { continuationToken } from '../answer/continuation.js';
import { type EmulatedAnswer, splitParts, textOfParts } from '../answer/emulated-answer.js';
import type { FaultName } from '../faults/faults.js';
import type {
  WireCandidate,
  WireGenerateRequest,
  WirePart,
  WireResponse,
  WireSafetyRating,
  WireUsage,
} from '../wire/messages.js';
import {
  charactersPerToken,
  countOutputTokens,
  countTextTokens,
  type InputTokens,
} from '../wire/token-count.js';

/** Everything that determines the answer to a call. */
export interface AnswerPlan {
  readonly answer: EmulatedAnswer;
  readonly request: WireGenerateRequest;
  readonly input: InputTokens;
  readonly model: string;
  readonly responseId: string;
  /** Number of pieces of each text. */
  readonly chunks: number;
  /** A longer text ends with `CONTINUATION`. */
  readonly continueAfterCharacters: number | undefined;
  readonly fault: FaultName | undefined;
  /** Issues the signature of a part. */
  readonly sign: (part: number) => string;
}

const thoughts = [
  '**Looking at the request**\n\nI am the emulator, so I look at what arrived: the text, the pictures and the turns.\n\n\n',
  '**Writing it down**\n\nI describe what I received in plain sentences.\n\n\n',
];

const bigChunkCharacters = 10 * 1024 * 1024;

/** The answer as Gemini streams it: one response per chunk, the last one with the finish reason. */
export function planAnswer(plan: AnswerPlan): WireResponse[] {
  const { fault, request } = plan;
  const identity = { modelVersion: plan.model, responseId: plan.responseId };
  if (fault === 'prompt-blocked')
    return [{ promptFeedback: { blockReason: 'SAFETY', safetyRatings: ratings('HIGH') }, ...identity }];
  if (fault === 'unknown-block')
    return [{ promptFeedback: { blockReason: 'FAKE_NEW_BLOCK_REASON' }, ...identity }];
  if (fault === 'empty-candidates')
    return [{ candidates: [], usageMetadata: usageOf(plan, 0, 0), ...identity }];

  const { parts, end } = limitAnswer(plan);
  const wantsThoughts =
    fault === 'thoughts-only' || request.generationConfig?.thinkingConfig?.includeThoughts === true;
  const responses: WireResponse[] = [];
  let thoughtTokens = 0;
  let characters = 0;
  let otherTokens = 0;
  const push = (part: WirePart | undefined, candidate: WireCandidate = {}) => {
    const outputTokens = Math.ceil(characters / charactersPerToken) + otherTokens;
    responses.push({
      candidates: [{ ...(part && { content: { parts: [part], role: 'model' } }), index: 0, ...candidate }],
      usageMetadata: usageOf(plan, outputTokens, thoughtTokens),
      ...identity,
    });
  };

  for (const thought of wantsThoughts && request.continuationToken === undefined ? thoughts : []) {
    thoughtTokens += countTextTokens(thought);
    push({ text: thought, thought: true });
  }
  // In recordings, a recitation and an answer of thoughts alone end with a candidate without content.
  const isBare = fault === 'thoughts-only' || fault === 'recitation' || parts.length === 0;
  const pieces =
    fault === 'thoughts-only' ? [] : sign(cutParts(parts, fault === 'big-chunk' ? 1 : plan.chunks), plan);
  for (const [index, piece] of pieces.entries()) {
    if (piece.text === undefined) otherTokens += countOutputTokens(piece, plan.model);
    else characters += piece.text.length;
    push(piece, index === pieces.length - 1 && !isBare ? end : {});
  }
  if (isBare) push(undefined, end);
  return changeResponses(responses, fault);
}

const cutParts = (parts: EmulatedAnswer['parts'], chunks: number): readonly WirePart[] =>
  parts.flatMap((part) =>
    typeof part === 'string' ? cutText(part, chunks).map((text) => ({ text })) : [part],
  );

/** Adds signatures where Gemini has them, unless the part brings its own. */
function sign(pieces: readonly WirePart[], plan: AnswerPlan): readonly WirePart[] {
  return pieces.map((piece, index) => {
    const isSigned =
      (piece.text !== undefined && index === pieces.length - 1) ||
      (piece.functionCall !== undefined && pieces[index - 1]?.functionCall === undefined) ||
      piece.inlineData?.mimeType?.startsWith('image/');
    return isSigned ? { ...piece, thoughtSignature: piece.thoughtSignature ?? plan.sign(index) } : piece;
  });
}

/** The responses as changed by faults of single chunks. */
function changeResponses(responses: WireResponse[], fault: FaultName | undefined): WireResponse[] {
  const [last = {}] = responses.slice(-1);
  const others = responses.slice(0, -1);
  const withFinish = (finishReason: string) =>
    others.map((response) => ({
      ...response,
      candidates: response.candidates?.map((candidate) => ({ ...candidate, finishReason })),
    }));
  switch (fault) {
    case 'duplicate-chunks':
      return [...others.flatMap((response) => [response, response]), last];
    case 'unspecified-finish':
      return [...withFinish('FINISH_REASON_UNSPECIFIED'), last];
    case 'repeated-finish':
      return [...withFinish('STOP'), last];
    case 'late-usage': {
      const { candidates, usageMetadata, ...identity } = last;
      return [...others, { candidates, ...identity }, { usageMetadata, ...identity }];
    }
    default:
      return responses;
  }
}

/** The parts that are sent, and the fields of the last candidate. */
function limitAnswer({ answer, request, fault, ...plan }: AnswerPlan): {
  readonly parts: EmulatedAnswer['parts'];
  readonly end: WireCandidate;
} {
  const { parts, candidate, continueAfterCharacters = plan.continueAfterCharacters } = answer;
  const text = textOfParts(parts);
  const cut = (characters: number, finishReason: string, further: WireCandidate = {}) => ({
    parts: splitParts(parts, characters)[0],
    end: { ...candidate, finishReason, ...further },
  });
  if (fault === 'big-chunk')
    return { parts: [repeatTo(text, bigChunkCharacters)], end: { finishReason: 'STOP' } };
  if (fault === 'no-finish') return { parts, end: {} };
  const half = cutText(text, 2)[0]?.length ?? 0;
  if (fault === 'safety') return cut(half, 'SAFETY', { safetyRatings: ratings('HIGH') });
  if (fault === 'recitation') return cut(half, 'RECITATION');
  if (fault === 'max-tokens') return cut(half, 'MAX_TOKENS');

  const { maxOutputTokens = Number.POSITIVE_INFINITY, stopSequences = [] } = request.generationConfig ?? {};
  const finishReason =
    fault === 'unknown-finish' ? 'FAKE_NEW_FINISH_REASON' : (candidate?.finishReason ?? 'STOP');
  const stops = stopSequences.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
  const end = Math.min(text.length, ...stops);
  const maxCharacters = maxOutputTokens * charactersPerToken;
  if (continueAfterCharacters !== undefined && Math.min(end, maxCharacters) > continueAfterCharacters) {
    const at = besideCharacters(text, continueAfterCharacters);
    const rest = { ...answer, parts: splitParts(parts, at)[1], candidate: { finishReason } };
    return cut(at, 'CONTINUATION', { continuationToken: continuationToken(rest) });
  }
  if (end > maxCharacters) return cut(maxCharacters, 'MAX_TOKENS');
  return cut(end, finishReason);
}

/** The place, or one beside it if a character of two units lies across. Never 0, so that an answer ends. */
const besideCharacters = (text: string, at: number) =>
  (text.codePointAt(at - 1) ?? 0) > 0xffff ? at - 1 || at + 1 : at;

const repeatTo = (text: string, characters: number) =>
  `${text}\n`.repeat(Math.ceil(characters / (text.length + 1))).slice(0, characters);

/** Splits a text before spaces into at most `count` pieces of similar length. */
function cutText(text: string, count: number): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (let piece = 1; piece < count; piece++) {
    const at = text.indexOf(' ', Math.max(from + 1, Math.round((text.length * piece) / count)));
    if (at < 0) break;
    pieces.push(text.slice(from, at));
    from = at;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function usageOf({ answer, input }: AnswerPlan, outputTokens: number, thoughtTokens: number): WireUsage {
  const toolTokens = answer.usage?.toolUsePromptTokenCount ?? 0;
  return {
    promptTokenCount: input.total,
    ...(outputTokens > 0 && { candidatesTokenCount: outputTokens }),
    totalTokenCount: input.total + toolTokens + outputTokens + thoughtTokens,
    promptTokensDetails: input.byModality,
    ...(thoughtTokens > 0 && { thoughtsTokenCount: thoughtTokens }),
    ...answer.usage,
  };
}

const ratings = (hateSpeech: string): readonly WireSafetyRating[] =>
  ['SEXUALLY_EXPLICIT', 'HATE_SPEECH', 'HARASSMENT', 'DANGEROUS_CONTENT'].map((category) => ({
    category: `HARM_CATEGORY_${category}`,
    probability: category === 'HATE_SPEECH' ? hateSpeech : 'NEGLIGIBLE',
  }));
