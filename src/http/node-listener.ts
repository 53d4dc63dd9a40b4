import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Asked, BodyReader, Service } from './exchange.js';
import type { Handler } from './handler.js';
import { serviceBehind } from './handler.js';
import type { NodeRequest } from './node-exchange.js';
import { askedOf, writeReply } from './node-exchange.js';

/** How long the rest of a refused upload is still taken in, so that the client gets to read the refusal. */
const lingerMs = 5_000;

/** Methods for which no Web-standard request can be made. */
const unspeakableMethods: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

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
  const serve = serviceBehind(handler) ?? serviceOver(handler);
  return async (incoming, outgoing) => {
    const hangUp = new AbortController();
    let asked: Asked | undefined = askedOf(incoming, hangUp.signal);
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) hangUp.abort(new DOMException('The client hung up.', 'AbortError'));
      // A Web-standard request made from it hears of the hang-up only as long as it is not collected.
      asked = undefined;
    });
    try {
      const connection = { address: incoming.ip ?? incoming.socket.remoteAddress, path: incoming.url };
      await writeReply(await serve(asked, connection), outgoing);
    } catch (error) {
      // Only a broken body gets here: the status is sent, so all that is left is to break off visibly.
      outgoing.destroy(error instanceof Error ? error : undefined);
    }
    leaveSoon(incoming);
  };
}

/** A handler of the app's own, which wants whole Web-standard requests. */
function serviceOver(handler: Handler): Service {
  return async (asked, connection) => {
    if (unspeakableMethods.has(asked.method)) return { status: 501, headers: {}, body: null };
    const { status, headers, body } = await handler(withBody(asked), connection);
    return { status, headers: Object.fromEntries(headers), body };
  };
}

function withBody(asked: Asked): Request {
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
function leaveSoon(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return;
  incoming.resume();
  const timer = setTimeout(() => incoming.destroy(), lingerMs);
  timer.unref();
  incoming.once('close', () => clearTimeout(timer));
  incoming.once('end', () => clearTimeout(timer));
}
