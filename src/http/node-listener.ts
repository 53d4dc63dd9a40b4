import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Handler } from './handler.js';
import { httpHandlerOf } from './handler.js';
import type { BodyReader, HttpHandler, HttpRequest } from './http-messages.js';
import type { NodeRequest } from './node-messages.js';
import { fromNodeRequest, writeHttpResponse } from './node-messages.js';

/** How long the rest of a refused upload is still read, so that the client receives the refusal. */
const lingerMs = 5_000;

/** Methods that the constructor of `Request` rejects. */
const forbiddenMethods: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

/**
 * Serves a handler with `node:http`. Reads and writes with backpressure; a client that hangs up aborts the
 * request.
 *
 * @example
 * ```ts
 * createServer(nodeListener(createHandler(chat))).listen(9000);
 * ```
 */
export function nodeListener(
  handler: Handler,
): (request: NodeRequest, response: ServerResponse) => Promise<void> {
  const handle = httpHandlerOf(handler) ?? fromWebHandler(handler);
  return async (incoming, outgoing) => {
    const hangUp = new AbortController();
    let request: HttpRequest | undefined = fromNodeRequest(incoming, hangUp.signal);
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) hangUp.abort(new DOMException('The client hung up.', 'AbortError'));
      // Until now it had to be kept: a garbage-collected `Request` does not abort.
      request = undefined;
    });
    try {
      // `X-Forwarded-For`, from which Express takes `ip`, can hold anything.
      const address = isIP(incoming.ip ?? '') ? incoming.ip : incoming.socket.remoteAddress;
      const connection = { address, path: incoming.url };
      await writeHttpResponse(await handle(request, connection), outgoing);
    } catch (error) {
      // Only a failing body gets here. The status has been sent, so the connection is cut.
      outgoing.destroy(error instanceof Error ? error : undefined);
    }
    drainThenClose(incoming);
  };
}

/** Adapts a handler of the app, which takes Web-standard requests. */
function fromWebHandler(handler: Handler): HttpHandler {
  return async (request, connection) => {
    if (forbiddenMethods.has(request.method)) return { status: 501, headers: {}, body: null };
    const { status, headers, body } = await handler(withBody(request), connection);
    return { status, headers: Object.fromEntries(headers), body };
  };
}

function withBody(request: HttpRequest): Request {
  const bare = request.toRequest();
  const reader = request.method === 'GET' || request.method === 'HEAD' ? undefined : request.openBody();
  if (reader === undefined) return bare;
  const streaming: RequestInit & { duplex: 'half' } = { body: streamOf(reader), duplex: 'half' };
  const whole = new Request(bare, streaming);
  const contentType = request.headers.get('content-type');
  if (contentType !== null) whole.headers.set('content-type', contentType);
  return whole;
}

function streamOf(reader: BodyReader): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else if (value !== undefined) controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/** Reads what the client still sends, for a while, then cuts the connection. */
function drainThenClose(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return;
  incoming.resume();
  const timer = setTimeout(() => incoming.destroy(), lingerMs);
  timer.unref();
  incoming.once('close', () => clearTimeout(timer));
  incoming.once('end', () => clearTimeout(timer));
}
