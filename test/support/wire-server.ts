import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WireReply } from './planted-replies.js';

/** A server that answers every request with the same raw reply. */
export interface WireServer {
  readonly url: string;
  /** Number of requests since the last `answer`. */
  readonly received: number;
  /** Sets the reply to all further requests. */
  answer(reply: WireReply): void;
  close(): Promise<void>;
}

async function send({ status, headers, pieces, isCut }: WireReply, response: ServerResponse): Promise<void> {
  response.writeHead(status, headers);
  for (const piece of pieces) {
    // Each in its own packet, so that the client reads it separately.
    await new Promise((resolve) => response.write(piece, () => setImmediate(resolve)));
  }
  if (isCut) response.destroy();
  else response.end();
}

/** Starts such a server on a free port. */
export async function startWireServer(): Promise<WireServer> {
  let reply: WireReply = { status: 500, headers: {}, pieces: [] };
  let received = 0;
  const server = createServer((request, response) => {
    received += 1;
    request.resume().once('end', () => void send(reply, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get received() {
      return received;
    },
    answer(next) {
      reply = next;
      received = 0;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
