import type { Clock } from '../../core/clock.js';
import { joinAnswer, planAnswer } from './answer.js';
import { deliver } from './deliver.js';
import { invalidArgument, tooManyTokens } from './error-bodies.js';
import { type Exchange, eventStreamType, jsonType, sendError } from './exchange.js';
import type { FileStore } from './file-store.js';
import type { RecordedCall } from './recorded-call.js';
import { countInputTokens, type InputTokens } from './token-count.js';
import type { WireErrorBody, WireGenerateRequest, WireResponse } from './wire.js';

/** The input limit of the current models. */
const maxInputTokens = 1_048_576;

export interface GenerateSettings {
  readonly clock: Clock;
  readonly firstChunkDelayMs: number;
  readonly chunkDelayMs: number;
  readonly chunks: number;
  readonly files: FileStore;
  readonly nextId: () => string;
  readonly answerTo: (call: RecordedCall) => string;
  /** Charges the quotas of the key's project; the 429 when they do not allow the call. */
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
  const asEvents = route.query.get('alt') === 'sse';
  await deliver({
    response,
    contentType: call.stream && asEvents ? eventStreamType : jsonType,
    frames: call.stream ? (asEvents ? eventFrames(events) : arrayFrames(events)) : [wholeFrame(events)],
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
  { files, charge }: GenerateSettings,
): WireErrorBody | undefined {
  const contents = Array.isArray(request.contents) ? request.contents : [];
  if (!contents.some((content) => content.parts?.length))
    return invalidArgument('* GenerateContentRequest.contents: contents is not specified\n');
  for (const part of contents.flatMap((content) => content.parts ?? [])) {
    const refusal = part.fileData?.fileUri && files.refuse(part.fileData.fileUri, exchange.project.id);
    if (refusal) return refusal;
  }
  const quota = charge(exchange, input.total);
  if (quota) return quota;
  return input.total > maxInputTokens ? tooManyTokens(input.total, maxInputTokens) : undefined;
}

const eventFrames = (events: readonly WireResponse[]) =>
  events.map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`);

const arrayFrames = (events: readonly WireResponse[]) =>
  events.map((event, index) => {
    const closes = index === events.length - 1 ? '\n]\n' : '';
    return `${index === 0 ? '[' : ',\r\n'}${JSON.stringify(event, null, 2)}${closes}`;
  });

const wholeFrame = (events: readonly WireResponse[]) => `${JSON.stringify(joinAnswer(events), null, 2)}\n`;
