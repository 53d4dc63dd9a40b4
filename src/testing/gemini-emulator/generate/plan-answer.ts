import type { FaultName } from '../faults/faults.js';
import type {
  WireContent,
  WireGenerateRequest,
  WirePart,
  WireResponse,
  WireUsage,
} from '../wire/messages.js';
import { charactersPerToken, countTextTokens, type InputTokens } from '../wire/token-count.js';

/** Everything that determines the answer to a call. */
export interface AnswerPlan {
  readonly text: string;
  readonly request: WireGenerateRequest;
  readonly input: InputTokens;
  readonly model: string;
  readonly responseId: string;
  readonly chunks: number;
  readonly fault: FaultName | undefined;
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
    return [{ candidates: [], usageMetadata: usageOf(plan.input, 0, 0), ...identity }];

  const { text, finishReason } = limitText(plan);
  const wantsThoughts =
    fault === 'thoughts-only' || request.generationConfig?.thinkingConfig?.includeThoughts === true;
  const responses: WireResponse[] = [];
  let thoughtTokens = 0;
  let characters = 0;
  const push = (content: WireContent | undefined, finish?: string) => {
    const refusal = finish === 'SAFETY' ? { safetyRatings: ratings('HIGH') } : {};
    responses.push({
      candidates: [
        { ...(content && { content }), ...(finish && { finishReason: finish }), index: 0, ...refusal },
      ],
      usageMetadata: usageOf(plan.input, Math.ceil(characters / charactersPerToken), thoughtTokens),
      ...identity,
    });
  };
  const pushPart = (part: WirePart, finish?: string) => push({ parts: [part], role: 'model' }, finish);

  for (const thought of wantsThoughts ? thoughts : []) {
    thoughtTokens += countTextTokens(thought);
    pushPart({ text: thought, thought: true });
  }
  // In recordings, a recitation and an answer of thoughts alone end with a candidate without content.
  const bare = fault === 'thoughts-only' || fault === 'recitation';
  const pieces = fault === 'thoughts-only' ? [] : cutText(text, fault === 'big-chunk' ? 1 : plan.chunks);
  pieces.forEach((piece, index) => {
    characters += piece.length;
    const isLast = index === pieces.length - 1 && !bare;
    pushPart(
      isLast ? { text: piece, thoughtSignature: signatureOf(plan.responseId) } : { text: piece },
      isLast ? finishReason : undefined,
    );
  });
  if (bare) push(undefined, finishReason);
  return changeResponses(responses, fault);
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

const finishReasons: Readonly<Partial<Record<FaultName, string>>> = {
  safety: 'SAFETY',
  recitation: 'RECITATION',
  'max-tokens': 'MAX_TOKENS',
  'unknown-finish': 'FAKE_NEW_FINISH_REASON',
};

function limitText({ text, request, fault }: AnswerPlan): {
  text: string;
  finishReason: string | undefined;
} {
  if (fault === 'big-chunk') return { text: repeatTo(text, bigChunkCharacters), finishReason: 'STOP' };
  if (fault === 'no-finish') return { text, finishReason: undefined };
  const finishReason = fault && finishReasons[fault];
  if (finishReason && fault !== 'unknown-finish') return { text: cutText(text, 2)[0] ?? '', finishReason };
  const { maxOutputTokens, stopSequences = [] } = request.generationConfig ?? {};
  const stops = stopSequences.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
  const stopped = text.slice(0, Math.min(text.length, ...stops));
  if (maxOutputTokens !== undefined && stopped.length > maxOutputTokens * charactersPerToken)
    return { text: stopped.slice(0, maxOutputTokens * charactersPerToken), finishReason: 'MAX_TOKENS' };
  return { text: stopped, finishReason: finishReason ?? 'STOP' };
}

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

function usageOf(input: InputTokens, textTokens: number, thoughtTokens: number): WireUsage {
  return {
    promptTokenCount: input.total,
    ...(textTokens > 0 && { candidatesTokenCount: textTokens }),
    totalTokenCount: input.total + textTokens + thoughtTokens,
    promptTokensDetails: input.byModality,
    ...(thoughtTokens > 0 && { thoughtsTokenCount: thoughtTokens }),
  };
}

const signatureOf = (responseId: string) =>
  Buffer.from(`thought signature of ${responseId}`).toString('base64');

const ratings = (hateSpeech: string) =>
  ['SEXUALLY_EXPLICIT', 'HATE_SPEECH', 'HARASSMENT', 'DANGEROUS_CONTENT'].map((category) => ({
    category: `HARM_CATEGORY_${category}`,
    probability: category === 'HATE_SPEECH' ? hateSpeech : 'NEGLIGIBLE',
  }));
