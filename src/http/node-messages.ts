import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BodyReader, bodyAlreadyRead, type HttpRequest, type HttpResponse } from './http-messages.js';
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

/** They describe the bytes that came, not what a parser made of them. */
const bodyHeaders: readonly string[] = ['content-type', 'content-encoding', 'content-length'];

export function fromNodeRequest(incoming: NodeRequest, signal: AbortSignal): HttpRequest {
  const url = urlOf(incoming);
  const { method = 'GET' } = incoming;
  let request: Request | undefined;
  return {
    method,
    url,
    headers: {
      get(name) {
        if (bodyHeaders.includes(name) && isParsed(incoming) && !isForm(incoming)) {
          return name === 'content-type' ? 'application/json' : null;
        }
        const value = incoming.headers[name];
        return (Array.isArray(value) ? value.join(', ') : value) ?? null;
      },
    },
    signal,
    openBody: () => bodyOf(incoming),
    toRequest() {
      // Kept, because its signal stops following ours once the request is garbage-collected.
      request ??= new Request(url, { method, headers: headersOf(incoming), signal });
      return request;
    },
  };
}

/** The body: the stream, or what a parser of the app made of it. */
function bodyOf(incoming: NodeRequest): BodyReader {
  const isRead = incoming.readableDidRead || incoming.readableEnded || incoming.destroyed;
  if (!isRead) return new IncomingBody(incoming);
  const { body } = incoming;
  // A parser of forms with files has put the files elsewhere.
  if (body === undefined || isForm(incoming)) {
    if (hasNoBody(incoming)) return bodyOfBytes(new Uint8Array());
    throw bodyAlreadyRead();
  }
  if (typeof body === 'string') return bodyOfBytes(Buffer.from(body));
  return bodyOfBytes(body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body)));
}

const isForm = ({ headers }: IncomingMessage) => /^multipart\//i.test(headers['content-type'] ?? '');

const hasNoBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;

/** Whether a parser of the app has made an object of the body. */
const isParsed = ({ body, readableEnded }: NodeRequest) =>
  readableEnded && typeof body === 'object' && body !== null && !(body instanceof Uint8Array);

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
