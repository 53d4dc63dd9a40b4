import type { Clock } from '../../../core/clock.js';
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
  readonly nextId: () => string;
  readonly answerTo: (call: RecordedCall) => string;
  /** Why the project may not refer to this file; `undefined` if it may. */
  readonly refuseFile: (uri: string, projectId: string) => WireErrorBody | undefined;
  /** Charges the quotas of the key's project. Returns the 429 if they do not allow the call. */
  readonly charge: (exchange: Exchange, inputTokens: number) => WireErrorBody | undefined;
}

/** Answers `generateContent` and `streamGenerateContent`. */
export async function generate(exchange: Exchange, settings: GenerateSettings): Promise<void> {
  const { response, route, call } = exchange;
  const request = (call.body ?? {}) as WireGenerateRequest;
  const input = countInputTokens(request, call.model);
  const refusal = refuseContents(exchange, request, input, settings);
  if (refusal) {
    sendError(response, route, refusal);
    return;
  }
  const events = planAnswer({
    text: settings.answerTo(call),
    request,
    input,
    model: call.model,
    responseId: settings.nextId(),
    chunks: settings.chunks,
    fault: exchange.injection?.fault,
  });
  const format = formatOf(exchange);
  await deliver({
    response,
    contentType: contentTypes[format],
    frames: frameResponses(events, format),
    clock: settings.clock,
    firstChunkDelayMs: settings.firstChunkDelayMs,
    chunkDelayMs: settings.chunkDelayMs,
    injection: exchange.injection,
    connection: exchange.connection,
  });
}

function refuseContents(
  exchange: Exchange,
  request: WireGenerateRequest,
  input: InputTokens,
  { refuseFile, charge }: GenerateSettings,
): WireErrorBody | undefined {
  const contents = Array.isArray(request.contents) ? request.contents : [];
  if (!contents.some((content) => content.parts?.length))
    return invalidArgument('* GenerateContentRequest.contents: contents is not specified\n');
  for (const part of contents.flatMap((content) => content.parts ?? [])) {
    const refusal = part.fileData?.fileUri && refuseFile(part.fileData.fileUri, exchange.project.id);
    if (refusal) return refusal;
  }
  const quota = charge(exchange, input.total);
  if (quota) return quota;
  return input.total > maxInputTokens ? tooManyTokens(input.total, maxInputTokens) : undefined;
}
