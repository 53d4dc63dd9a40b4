import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Handler } from './handler.js';
import { httpHandlerOf } from './handler.js';
import type { BodyReader, HttpHandler, HttpRequest } from './http-messages.js';
import type { NodeRequest } from './node-messages.js';
import { fromNodeRequest, writeHttpResponse } from './node-messages.js';

/** How long the rest of a refused upload is still taken in, so that the client gets to read the refusal. */
const lingerMs = 5_000;

/** Methods for which no Web-standard request can be made. */
const forbiddenMethods: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

/**
 * Serves a handler with `node:http`. Reads and writes only as fast as the other side does; a client
 * that hangs up aborts the request.
 *
 * @example
 * ```ts
 * createServer(nodeListener(createHandler(chat))).listen(9000);
 * ```
 */
export function nodeListener(
  handler: Handler,
): (request: NodeRequest, response: ServerResponse) => Promise<void> {
  const serve = httpHandlerOf(handler) ?? fromWebHandler(handler);
  return async (incoming, outgoing) => {
    const hangUp = new AbortController();
    let asked: HttpRequest | undefined = fromNodeRequest(incoming, hangUp.signal);
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) hangUp.abort(new DOMException('The client hung up.', 'AbortError'));
      // A Web-standard request made from it hears of the hang-up only as long as it is not collected.
      asked = undefined;
    });
    try {
      const connection = { address: incoming.ip ?? incoming.socket.remoteAddress, path: incoming.url };
      await writeHttpResponse(await serve(asked, connection), outgoing);
    } catch (error) {
      // Only a broken body gets here: the status is sent, so all that is left is to break off visibly.
      outgoing.destroy(error instanceof Error ? error : undefined);
    }
    drainThenClose(incoming);
  };
}

/** A handler of the app's own, which wants whole Web-standard requests. */
function fromWebHandler(handler: Handler): HttpHandler {
  return async (asked, connection) => {
    if (forbiddenMethods.has(asked.method)) return { status: 501, headers: {}, body: null };
    const { status, headers, body } = await handler(withBody(asked), connection);
    return { status, headers: Object.fromEntries(headers), body };
  };
}

function withBody(asked: HttpRequest): Request {
  const request = asked.toRequest();
  const reader = asked.method === 'GET' || asked.method === 'HEAD' ? undefined : asked.openBody();
  if (reader === undefined) return request;
  const streaming: RequestInit & { duplex: 'half' } = { body: streamOf(reader), duplex: 'half' };
  const whole = new Request(request, streaming);
  const contentType = asked.headers.get('content-type');
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

/** Takes in what the client still sends, for a while, and then hangs up. */
function drainThenClose(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return;
  incoming.resume();
  const timer = setTimeout(() => incoming.destroy(), lingerMs);
  timer.unref();
  incoming.once('close', () => clearTimeout(timer));
  incoming.once('end', () => clearTimeout(timer));
}
