import type { IncomingMessage, ServerResponse } from 'node:http';
import { payloadTooLarge } from '../wire/error-bodies.js';
import type { WireErrorBody } from '../wire/messages.js';
import type { Route } from './route.js';

/** Reads a whole body; resolves to `undefined` if it is larger than allowed. */
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
 * Sends an error as Gemini does: as JSON with content type `text/event-stream` if an event stream was
 * requested, and inside an array if a JSON stream was requested.
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
