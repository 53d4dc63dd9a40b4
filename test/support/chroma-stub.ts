import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** The answer; undefined for that of an empty server. */
type Answer = (request: SeenRequest) => { readonly status: number; readonly body?: object } | undefined;

/** As much of Chroma's protocol as shows what a client sends and how it handles failures. */
export async function startChromaStub(answer: Answer = () => undefined) {
  const seen: SeenRequest[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { url: path = '', headers } = incoming;
      const request = { path, headers, body: Buffer.concat(chunks).toString() };
      seen.push(request);
      const { status, body } = answer(request) ?? { status: 200, body: usualAnswer(request) };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function usualAnswer({ path, body }: SeenRequest): object {
  if (path.endsWith('/pre-flight-checks')) return { max_batch_size: 1_000 };
  if (path.endsWith('/get')) return { ids: [], documents: [], metadatas: [], include: [] };
  if (!path.endsWith('/collections')) return {};
  const { name, metadata } = JSON.parse(body) as { name: string; metadata?: object };
  const [, tenant, database] = /tenants\/([^/]+)\/databases\/([^/]+)/.exec(path) ?? [];
  return { id: randomUUID(), name, metadata, configuration_json: {}, tenant, database };
}
