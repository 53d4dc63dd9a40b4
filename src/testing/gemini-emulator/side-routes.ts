import { fileNotYours, invalidArgument, modelNotFound } from './error-bodies.js';
import { type Exchange, sendError } from './exchange.js';
import { isUploadFault } from './faults.js';
import type { FileStore } from './file-store.js';
import { embedByHashing } from './hashed-embedding.js';
import { countInputTokens, countTextTokens } from './token-count.js';
import type { WireContent, WireEmbedRequest, WireErrorBody, WireGenerateRequest } from './wire.js';

/** Sends a JSON body with status 200, under whatever fault strikes the call. */
export type Send = (exchange: Exchange, body: unknown) => Promise<void>;

const textOf = (content: WireContent | undefined) =>
  (content?.parts ?? []).map((part) => part.text ?? '').join('\n');

const maxDimensions = 3072;

/** Answers `embedContent` and `batchEmbedContents` with hashed word features. */
export async function embed(
  exchange: Exchange,
  send: Send,
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

export async function countTokens(exchange: Exchange, send: Send): Promise<void> {
  const body = (exchange.call.body ?? {}) as WireGenerateRequest & {
    generateContentRequest?: WireGenerateRequest;
  };
  const { total, byModality } = countInputTokens(body.generateContentRequest ?? body, exchange.call.model);
  await send(exchange, { totalTokens: total, promptTokensDetails: byModality });
}

/** Answers `GET models` and `GET models/{name}`. */
export async function models(exchange: Exchange, send: Send, known: readonly string[]): Promise<void> {
  const { model, version } = exchange.route;
  if (!model) await send(exchange, { models: known.map(describeModel) });
  else if (known.includes(model)) await send(exchange, describeModel(model));
  else sendError(exchange.response, exchange.route, modelNotFound(model, version, 'generateContent'));
}

function describeModel(name: string): Readonly<Record<string, unknown>> {
  const embeds = name.includes('embedding');
  return {
    name: `models/${name}`,
    version: '001',
    displayName: `${name} (emulated)`,
    inputTokenLimit: embeds ? 8192 : 1_048_576,
    outputTokenLimit: embeds ? 1 : 65_536,
    supportedGenerationMethods: embeds
      ? ['embedContent', 'batchEmbedContents', 'countTokens']
      : ['generateContent', 'countTokens'],
    ...(!embeds && { thinking: true }),
  };
}

/** Answers `GET files`, `GET files/{id}` and `DELETE files/{id}`. */
export async function files(exchange: Exchange, send: Send, store: FileStore): Promise<void> {
  const { request, response, route, project } = exchange;
  if (!route.file) {
    await send(exchange, { files: store.list(project.id) });
    return;
  }
  if (request.method === 'DELETE') {
    const refusal = store.delete(route.file, project.id);
    if (refusal) sendError(response, route, refusal);
    else await send(exchange, {});
    return;
  }
  const file = store.get(route.file, project.id);
  if ('state' in file) await send(exchange, file);
  else sendError(response, route, file);
}

/**
 * Answers the resumable upload protocol: `start`, then `upload` with an offset, as often as it takes,
 * `finalize` with the last one; `query` after a break, `cancel`.
 */
export async function upload(
  exchange: Exchange,
  send: Send,
  store: FileStore,
  baseUrl: string,
): Promise<void> {
  const { request, response, route, project, call, connection } = exchange;
  const fault = exchange.injection?.fault;
  const header = (name: string) => String(request.headers[`x-goog-upload-${name}`] ?? '');
  const commands = header('command').split(/,\s*/);
  const setStatus = (status: 'active' | 'final' | 'cancelled') =>
    response.setHeader('X-Goog-Upload-Status', status);

  if (commands.includes('start')) {
    const described = (call.body as { file?: { displayName?: string; mimeType?: string } } | undefined)?.file;
    const id = store.begin({
      project: project.id,
      displayName: described?.displayName,
      mimeType: described?.mimeType || header('header-content-type') || 'application/octet-stream',
      fault: isUploadFault(fault) ? fault : undefined,
    });
    const url = `${baseUrl}/upload/v1beta/files?upload_id=${id}&upload_protocol=resumable`;
    setStatus('active');
    response.setHeader('X-Goog-Upload-URL', url);
    response.setHeader('X-Goog-Upload-Chunk-Granularity', '262144');
    await send(exchange, {});
    return;
  }
  const id = route.query.get('upload_id')?.replace(/\/$/, '') ?? '';
  const received = store.receivedBytes(id);
  if (received === undefined) {
    sendError(response, route, fileNotYours(id));
  } else if (commands.includes('cancel')) {
    store.cancel(id);
    setStatus('cancelled');
    await send(exchange, {});
  } else if (commands.includes('query')) {
    setStatus('active');
    response.setHeader('X-Goog-Upload-Size-Received', String(received));
    await send(exchange, {});
  } else if (store.takeCut(id)) {
    call.fault = 'upload-cut';
    store.append(id, Number(header('offset')), exchange.bytes.subarray(0, exchange.bytes.length >> 1));
    connection.reset();
  } else if (!store.append(id, Number(header('offset')), exchange.bytes)) {
    sendError(response, route, invalidArgument(`Upload offset must be ${received}.`));
  } else if (commands.includes('finalize')) {
    setStatus('final');
    await send(exchange, { file: store.finish(id) });
  } else {
    setStatus('active');
    await send(exchange, {});
  }
}
