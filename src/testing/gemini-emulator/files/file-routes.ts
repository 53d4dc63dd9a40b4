import type { Exchange, SendJson } from '../exchange/exchange.js';
import { sendError } from '../exchange/respond.js';
import { isUploadFault } from '../faults/faults.js';
import { fileNotYours, invalidArgument } from '../wire/error-bodies.js';
import type { FileStore } from './file-store.js';

/** Answers `GET files`, `GET files/{id}` and `DELETE files/{id}`. */
export async function files(exchange: Exchange, send: SendJson, store: FileStore): Promise<void> {
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
 * Answers the resumable upload protocol: `start`, then `upload` with an offset any number of times,
 * `finalize` with the last one; `query` after an interruption, `cancel`.
 */
export async function upload(
  exchange: Exchange,
  send: SendJson,
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
