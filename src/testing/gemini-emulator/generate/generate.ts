import type { Clock } from '../../../core/clock.js';
import { completeAnswer } from '../answer/complete-answer.js';
import { readContinuation } from '../answer/continuation.js';
import type { AnswerContent, EmulatedAnswer } from '../answer/emulated-answer.js';
import { checkRequest } from '../check/check-request.js';
import { issueSignature, type SignatureRules } from '../check/check-signatures.js';
import { deliver } from '../exchange/deliver.js';
import type { Exchange } from '../exchange/exchange.js';
import { sendError } from '../exchange/respond.js';
import type { RecordedCall } from '../journal/recorded-call.js';
import { invalidArgument, tooManyTokens } from '../wire/error-bodies.js';
import type { WireErrorBody, WireGenerateRequest } from '../wire/messages.js';
import { countInputTokens, type InputTokens } from '../wire/token-count.js';
import { contentTypes, formatOf, frameResponses } from './framing.js';
import { planAnswer } from './plan-answer.js';

/** The input limit of the current models. */
const maxInputTokens = 1_048_576;

export interface GenerateSettings {
  readonly clock: Clock;
  readonly firstChunkDelayMs: number;
  readonly chunkDelayMs: number;
  readonly chunks: number;
  readonly continueAfterCharacters: number | undefined;
  readonly signatures: SignatureRules['signatures'];
  readonly nextId: () => string;
  readonly answerTo: (call: RecordedCall) => AnswerContent;
  /** The model that a name stands for. */
  readonly modelOf: (name: string) => string;
  /** Why the project may not refer to this file; `undefined` if it may. */
  readonly refuseFile: (uri: string, projectId: string) => WireErrorBody | undefined;
  /** Charges the quotas of the key's project. Returns the 429 if they do not allow the call. */
  readonly charge: (exchange: Exchange, inputTokens: number) => WireErrorBody | undefined;
}

/** Answers `generateContent` and `streamGenerateContent`. */
export async function generate(exchange: Exchange, settings: GenerateSettings): Promise<void> {
  const { response, route, call, project, injection } = exchange;
  const request = (call.body ?? {}) as WireGenerateRequest;
  const model = settings.modelOf(call.model);
  const input = countInputTokens(request, model);
  const rules: SignatureRules = { signatures: settings.signatures, model, project: project.id };
  const refusal = checkRequest(request, rules) ?? refuse(exchange, request, input, settings);
  const answer = refusal ? undefined : findAnswer(call, request, settings);
  if (answer === undefined) {
    sendError(response, route, refusal ?? invalidArgument('Invalid continuation token.'));
    return;
  }
  const responseId = settings.nextId();
  const responses = planAnswer({
    answer,
    request,
    input,
    model,
    responseId,
    chunks: settings.chunks,
    continueAfterCharacters: settings.continueAfterCharacters,
    fault: injection?.fault,
    sign: (part) => issueSignature(rules, responseId, part),
  });
  const format = formatOf(exchange);
  await deliver({
    response,
    contentType: contentTypes[format],
    frames: frameResponses(responses, format),
    clock: settings.clock,
    firstChunkDelayMs: settings.firstChunkDelayMs,
    chunkDelayMs: settings.chunkDelayMs,
    injection,
    connection: exchange.connection,
  });
}

/** The answer, or the rest of one; `undefined` if the token is not of an emulator. */
function findAnswer(
  call: RecordedCall,
  { continuationToken }: WireGenerateRequest,
  { answerTo }: GenerateSettings,
): EmulatedAnswer | undefined {
  if (continuationToken !== undefined) return readContinuation(continuationToken);
  const content = answerTo(call);
  return typeof content === 'string' ? completeAnswer(content, call) : content;
}

function refuse(
  exchange: Exchange,
  { contents = [] }: WireGenerateRequest,
  input: InputTokens,
  { refuseFile, charge }: GenerateSettings,
): WireErrorBody | undefined {
  for (const part of contents.flatMap((content) => content.parts ?? [])) {
    const refusal = part.fileData?.fileUri && refuseFile(part.fileData.fileUri, exchange.project.id);
    if (refusal) return refusal;
  }
  const quota = charge(exchange, input.total);
  if (quota) return quota;
  return input.total > maxInputTokens ? tooManyTokens(input.total, maxInputTokens) : undefined;
}
