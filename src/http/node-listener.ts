import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Handler } from './handler.js';

/** How long the rest of a refused upload is still taken in, so that the client gets to read the refusal. */
const lingerMs = 5_000;
const bufferBytes = 64 * 1024;
/** A Web-standard request cannot have them. */
const unspeakableMethods: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT']);

/** What Express and its body parsers add to a request. */
export interface NodeRequest extends IncomingMessage {
  /** The whole URL, where `url` has lost the prefix of the mount. */
  readonly originalUrl?: string;
  /** The client's address as Express's `trust proxy` setting sees it. */
  readonly ip?: string | undefined;
  /** The body, where a parser has read it before. */
  readonly body?: unknown;
}

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
  return async (incoming, outgoing) => {
    const hangUp = new AbortController();
    let request: Request | undefined;
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) hangUp.abort(new DOMException('The client hung up.', 'AbortError'));
      // Its signal follows ours only as long as the request itself is not collected, so keep it until here.
      request = undefined;
    });
    try {
      if (unspeakableMethods.has(incoming.method ?? '')) {
        outgoing.writeHead(501).end();
        return;
      }
      request = toWebRequest(incoming, hangUp.signal);
      const response = await handler(request, {
        address: incoming.ip ?? incoming.socket.remoteAddress,
        path: incoming.url,
      });
      await writeResponse(response, outgoing);
    } catch (error) {
      // Only a broken body gets here: the status is sent, so all that is left is to break off visibly.
      outgoing.destroy(error instanceof Error ? error : undefined);
    }
    leaveSoon(incoming);
  };
}

function toWebRequest(incoming: NodeRequest, signal: AbortSignal): Request {
  const headers = new Headers();
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
    headers.append(incoming.rawHeaders[i] ?? '', incoming.rawHeaders[i + 1] ?? '');
  }
  const { method = 'GET' } = incoming;
  const init = { method, headers, signal };
  if (method === 'GET' || method === 'HEAD') return new Request(urlOf(incoming), init);
  if (incoming.readableEnded && incoming.body !== undefined) {
    // A body parser has consumed the stream; what it made of it is all there is.
    const { body } = incoming;
    if (typeof body === 'string') return new Request(urlOf(incoming), { ...init, body });
    if (body instanceof Uint8Array)
      return new Request(urlOf(incoming), { ...init, body: new Uint8Array(body) });
    headers.set('content-type', 'application/json');
    return new Request(urlOf(incoming), { ...init, body: JSON.stringify(body) });
  }
  const streaming: RequestInit & { duplex: 'half' } = { ...init, body: bodyOf(incoming), duplex: 'half' };
  return new Request(urlOf(incoming), streaming);
}

function urlOf(incoming: NodeRequest): string {
  const scheme = 'encrypted' in incoming.socket ? 'https' : 'http';
  const path = incoming.originalUrl ?? incoming.url ?? '/';
  const base = `${scheme}://${incoming.headers.host ?? 'localhost'}`;
  return URL.canParse(base + path) ? base + path : `${scheme}://localhost/`;
}

/**
 * `Readable.toWeb` would do, but cancelling its stream destroys the socket, and with it the reply that
 * says why the upload was refused.
 */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  let detach: (() => void) | undefined;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const onData = (chunk: Uint8Array) => {
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        };
        const onEnd = () => {
          detach?.();
          controller.close();
        };
        const onBroken = (error?: Error) => {
          detach?.();
          controller.error(error ?? new DOMException('The client hung up.', 'AbortError'));
        };
        const onClose = () => onBroken();
        detach = () => {
          incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onBroken);
          // A socket that breaks later must not bring the process down.
          incoming.on('error', () => undefined);
        };
        incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onBroken);
        incoming.pause();
      },
      pull() {
        incoming.resume();
      },
      cancel() {
        detach?.();
        incoming.resume();
      },
    },
    { highWaterMark: bufferBytes, size: (chunk) => chunk?.byteLength ?? 0 },
  );
}

async function writeResponse(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null || response.headers.has('content-length')) {
    outgoing.end(new Uint8Array(await response.arrayBuffer()));
    return;
  }
  // Readers of a slow answer should know at once that it has begun.
  outgoing.flushHeaders();
  const reader = response.body.getReader();
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

/** Resolves when more can be written, or never will be. */
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

/** Takes in what the client still sends, for a while, and then hangs up. */
function leaveSoon(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return;
  incoming.resume();
  const timer = setTimeout(() => incoming.destroy(), lingerMs);
  timer.unref();
  incoming.once('close', () => clearTimeout(timer));
  incoming.once('end', () => clearTimeout(timer));
}
