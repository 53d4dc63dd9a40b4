import type { Exchange, SendJson } from '../exchange/exchange.js';
import { sendError } from '../exchange/respond.js';
import { invalidArgument } from '../wire/error-bodies.js';
import type { WireContent, WireEmbedRequest, WireErrorBody } from '../wire/messages.js';
import { countTextTokens } from '../wire/token-count.js';
import { embedByHashing } from './hashed-embedding.js';

const textOf = (content: WireContent | undefined) =>
  (content?.parts ?? []).map((part) => part.text ?? '').join('\n');

const maxDimensions = 3072;

/** Answers `embedContent` and `batchEmbedContents` with hashed word features. */
export async function embed(
  exchange: Exchange,
  send: SendJson,
  charge: (exchange: Exchange, inputTokens: number) => WireErrorBody | undefined,
): Promise<void> {
  const { call, route, response } = exchange;
  const isBatch = route.method === 'batchEmbedContents';
  const body = (call.body ?? {}) as WireEmbedRequest & { requests?: readonly WireEmbedRequest[] };
  const requests = isBatch ? (body.requests ?? []) : [body];
  const texts = requests.map((request) => textOf(request.content));
  const refusal =
    refuseEmbedding(requests, texts) ??
    charge(
      exchange,
      texts.reduce((sum, text) => sum + countTextTokens(text), 0),
    );
  if (refusal) {
    sendError(response, route, refusal);
    return;
  }
  const embeddings = requests.map((request, index) => ({
    values: [...embedByHashing(texts[index] ?? '', request.outputDimensionality ?? maxDimensions)],
  }));
  await send(exchange, isBatch ? { embeddings } : { embedding: embeddings[0] });
}

function refuseEmbedding(
  requests: readonly WireEmbedRequest[],
  texts: readonly string[],
): WireErrorBody | undefined {
  if (requests.length === 0)
    return invalidArgument('* BatchEmbedContentsRequest.requests: requests is not specified\n');
  if (texts.includes('')) return invalidArgument('* EmbedContentRequest.content: content is empty\n');
  const isOutside = requests.some(
    ({ outputDimensionality: dimensions = 1 }) =>
      dimensions < 1 || dimensions > maxDimensions || !Number.isInteger(dimensions),
  );
  return isOutside
    ? invalidArgument(`* EmbedContentRequest.output_dimensionality: must be within [1, ${maxDimensions}]\n`)
    : undefined;
}
