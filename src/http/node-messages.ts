import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpRequest, HttpResponse } from './http-messages.js';
import { bodyOfBytes, IncomingBody } from './incoming-body.js';

/** A Node request, with what Express and body parsers may add to it. */
export interface NodeRequest extends IncomingMessage {
  /** The full URL; `url` is without the mount prefix. */
  readonly originalUrl?: string;
  /** The client's address as Express's `trust proxy` setting sees it. */
  readonly ip?: string | undefined;
  /** The body, if a parser has already read it. */
  readonly body?: unknown;
}

export function fromNodeRequest(incoming: NodeRequest, signal: AbortSignal): HttpRequest {
  const parsed = parsedBody(incoming);
  const contentType = parsed?.contentType;
  const url = urlOf(incoming);
  const { method = 'GET' } = incoming;
  let request: Request | undefined;
  return {
    method,
    url,
    headers: {
      get(name) {
        if (name === 'content-type' && contentType !== undefined) return contentType;
        const value = incoming.headers[name];
        return (Array.isArray(value) ? value.join(', ') : value) ?? null;
      },
    },
    signal,
    openBody: () => (parsed ? bodyOfBytes(parsed.bytes) : new IncomingBody(incoming)),
    toRequest() {
      // Kept, because its signal stops following ours once the request is garbage-collected.
      request ??= new Request(url, { method, headers: headersOf(incoming), signal });
      return request;
    },
  };
}

/** The body as a parser of the app left it; the stream itself has been consumed. */
function parsedBody(
  incoming: NodeRequest,
): { readonly bytes: Uint8Array; readonly contentType?: string } | undefined {
  if (!incoming.readableEnded || incoming.body === undefined) return undefined;
  const { body } = incoming;
  if (typeof body === 'string') return { bytes: Buffer.from(body) };
  if (body instanceof Uint8Array) return { bytes: body };
  return { bytes: Buffer.from(JSON.stringify(body)), contentType: 'application/json' };
}

function headersOf(incoming: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
    headers.append(incoming.rawHeaders[i] ?? '', incoming.rawHeaders[i + 1] ?? '');
  }
  return headers;
}

function urlOf(incoming: NodeRequest): string {
  const scheme = 'encrypted' in incoming.socket ? 'https' : 'http';
  const path = incoming.originalUrl ?? incoming.url ?? '/';
  const base = `${scheme}://${incoming.headers.host ?? 'localhost'}`;
  return URL.canParse(base + path) ? base + path : `${scheme}://localhost/`;
}

/** Sends a response, only as fast as the client reads. */
export async function writeHttpResponse(
  { status, headers, body }: HttpResponse,
  outgoing: ServerResponse,
): Promise<void> {
  outgoing.writeHead(status, headers);
  if (body === null || body instanceof Uint8Array) {
    outgoing.end(body ?? undefined);
    return;
  }
  // Tells the client at once that a slow answer has begun.
  outgoing.flushHeaders();
  const reader = body.getReader();
  const onClose = () => {
    reader.cancel().catch((error: unknown) => outgoing.destroy(error instanceof Error ? error : undefined));
  };
  outgoing.once('close', onClose);
  if (outgoing.destroyed) onClose();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.off('close', onClose);
  outgoing.end();
}

/** Resolves when more can be written, or when the connection has closed. */
function drained(outgoing: ServerResponse): Promise<void> {
  if (outgoing.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const onReady = () => {
      outgoing.off('drain', onReady).off('close', onReady);
      resolve();
    };
    outgoing.on('drain', onReady).on('close', onReady);
  });
}
