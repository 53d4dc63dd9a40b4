import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Respond = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

/** A request as it came in. */
interface ReceivedRequest {
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
    requests.push({ url: request.url ?? '', headers: request.headers, body });
    await respond(response, request);
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
export async function writePieces(response: ServerResponse, ...pieces: readonly string[]): Promise<void> {
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (const piece of pieces) {
    await new Promise((resolve) => response.write(piece, () => setImmediate(resolve)));
  }
}
