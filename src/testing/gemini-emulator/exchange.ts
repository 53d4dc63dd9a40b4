import type { IncomingMessage, ServerResponse } from 'node:http';
import type { OpenCall } from './call-log.js';
import { payloadTooLarge } from './error-bodies.js';
import type { Injection } from './faults.js';
import type { EmulatedProject } from './options.js';
import type { GeminiOperation, RecordedCall } from './recorded-call.js';
import type { WireErrorBody } from './wire.js';

/** One request and the means to answer it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  readonly call: RecordedCall;
  readonly bytes: Buffer;
  readonly project: EmulatedProject;
  readonly injection: Injection | undefined;
  readonly connection: OpenCall;
}

/** What the path and the query of a request say. */
export interface Route {
  readonly operation: GeminiOperation;
  readonly path: string;
  readonly query: URLSearchParams;
  /** `v1` or `v1beta`. */
  readonly version: string;
  /** The method after the colon, such as `generateContent`; empty without one. */
  readonly method: string;
  readonly model: string;
  /** The id of a file; empty when all are meant. */
  readonly file: string;
}

const operations: Readonly<Record<string, GeminiOperation>> = {
  generateContent: 'generate',
  streamGenerateContent: 'generate',
  embedContent: 'embed',
  batchEmbedContents: 'embed',
  countTokens: 'countTokens',
};

const noQuery = new URLSearchParams();

const knownRoutes = new Map<string, Route>();
const maxKnownRoutes = 256;

/** Clients ask for few different URLs, and taking one apart costs as much as the rest of a call. */
export function readRoute(url: string): Route {
  const known = knownRoutes.get(url);
  if (known) return known;
  const route = parseRoute(url);
  if (knownRoutes.size >= maxKnownRoutes) knownRoutes.clear();
  knownRoutes.set(url, route);
  return route;
}

function parseRoute(url: string): Route {
  const [path = '/', search] = url.split('?', 2);
  const query = search === undefined ? noQuery : new URLSearchParams(search);
  const [, upload = '', version = '', resource = ''] =
    /^(\/upload)?\/(v1|v1beta)\/(.*?)\/?$/.exec(decodeURIComponent(path)) ?? [];
  const base = { path, query, version, method: '', model: '', file: '' };
  if (resource === 'files' || resource.startsWith('files/'))
    return { ...base, operation: upload ? 'upload' : 'files', file: resource.slice('files/'.length) };
  if (resource === 'models') return { ...base, operation: 'models' };
  const [, model = '', method = ''] = /^models\/([^:]+)(?::(\w+))?$/.exec(resource) ?? [];
  if (!model) return { ...base, operation: 'unknown' };
  return { ...base, operation: method ? (operations[method] ?? 'unknown') : 'models', model, method };
}

/** Reads a whole body; resolves with `undefined` when it is larger than allowed. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      else chunks.length = 0;
    });
    request.on('end', () => resolve(bytes <= maxBytes ? Buffer.concat(chunks, bytes) : undefined));
    request.on('error', reject);
  });
}

export const jsonType = 'application/json; charset=UTF-8';
export const eventStreamType = 'text/event-stream';

export function sendJson(
  response: ServerResponse,
  body: unknown,
  contentType = jsonType,
  status = 200,
): void {
  sendText(response, JSON.stringify(body, null, 2), contentType, status);
}

export function sendText(response: ServerResponse, text: string, contentType: string, status: number): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': bytes.length });
  response.end(bytes);
}

/**
 * Sends an error as Gemini does: labelled `text/event-stream` when an event stream was asked for,
 * though it is JSON, and inside an array when the stream was asked for as JSON.
 */
export function sendError(response: ServerResponse, route: Route, body: WireErrorBody): void {
  const isStream = route.method === 'streamGenerateContent';
  const asEvents = isStream && route.query.get('alt') === 'sse';
  sendJson(
    response,
    isStream && !asEvents ? [body] : body,
    asEvents ? eventStreamType : jsonType,
    body.error.code,
  );
}

export const refuseTooLarge = (response: ServerResponse, route: Route, maxBytes: number) =>
  sendError(response, route, payloadTooLarge(maxBytes));
