import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Respond = (
  response: ServerResponse,
  request: IncomingMessage,
  received: ReceivedRequest,
) => void | Promise<void>;

/** A request as it came in. */
export interface ReceivedRequest {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Parsed from JSON. */
  readonly body: Record<string, unknown>;
}

/** A server on a real socket whose replies a test writes by hand. Closed by `await using`. */
export interface RawServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly ReceivedRequest[];
  /** Resolves when as many requests have been answered with headers at least. */
  whenAnswered(count: number): Promise<void>;
}

/** Starts such a server on a free port. */
export async function startRawServer(respond: Respond): Promise<RawServer> {
  const requests: ReceivedRequest[] = [];
  const waiting: (() => void)[] = [];
  let answered = 0;
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    const received = { url: request.url ?? '', headers: request.headers, body };
    requests.push(received);
    await respond(response, request, received);
    answered += 1;
    for (const resolve of waiting.splice(0)) resolve();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async whenAnswered(count) {
      while (answered < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One event of a stream of Gemini. */
export const event = (chunk: unknown): string => `data: ${JSON.stringify(chunk)}\r\n\r\n`;

/** A chunk with one piece of text, with a finish reason if it is the last. */
export const textChunk = (text: string, finishReason?: string, more: object = {}) => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, ...(finishReason && { finishReason }) }],
  ...more,
});

/** Replies with these pieces, each in a packet of its own, and leaves the connection open. */
export async function writePieces(
  response: ServerResponse,
  ...pieces: readonly (string | Uint8Array)[]
): Promise<void> {
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const piece of pieces) {
    await new Promise((resolve) => response.write(piece, () => setImmediate(resolve)));
  }
}

/** A reply to be sent as it is. */
export interface RawReply {
  /** Default 200. */
  readonly status?: number;
  /** Default: those of an event stream. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Each is sent in a packet of its own. */
  readonly pieces: readonly (string | Uint8Array)[];
  /** What becomes of the connection. Default `close`: the body ends. */
  readonly end?: 'close' | 'reset' | 'open';
}

/** A reply of these pieces. */
export const pieces = (...sent: RawReply['pieces']): RawReply => ({ pieces: sent });

/** A reply of these chunks of Gemini, each in an event. */
export const events = (...chunks: readonly unknown[]): RawReply => pieces(...chunks.map(event));

export async function sendReply(response: ServerResponse, reply: RawReply): Promise<void> {
  const { end = 'close', headers = { 'Content-Type': 'text/event-stream' }, status = 200 } = reply;
  response.writeHead(status, headers);
  response.flushHeaders();
  await writePieces(response, ...reply.pieces);
  if (end === 'close') response.end();
  // After the bytes have arrived: a reset drops what is still on its way.
  if (end === 'reset') setTimeout(() => response.socket?.resetAndDestroy(), 10);
}
