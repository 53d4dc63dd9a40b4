import { once } from 'node:events';
import { createServer, request as forward } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** A request that a proxy received, as its first line named it. */
interface ProxiedRequest {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly authorization: string | undefined;
}

export interface ForwardProxy {
  readonly port: number;
  readonly requests: readonly ProxiedRequest[];
  close(): Promise<void>;
}

/**
 * A proxy that forwards requests and opens tunnels. Every host leads to `targetPort` of this machine, so that
 * a test can use names that nothing but the proxy could resolve. With `credentials` others get a 407.
 */
export async function startForwardProxy(targetPort: number, credentials?: string): Promise<ForwardProxy> {
  const requests: ProxiedRequest[] = [];
  const isRefused = (authorization: string | undefined) =>
    credentials !== undefined && authorization !== `Basic ${Buffer.from(credentials).toString('base64')}`;
  const server = createServer((incoming, outgoing) => {
    const authorization = incoming.headers['proxy-authorization'];
    requests.push({ method: incoming.method, target: incoming.url, authorization });
    if (isRefused(authorization)) {
      outgoing.writeHead(407, { 'proxy-authenticate': 'Basic' }).end();
      return;
    }
    const { pathname, search } = new URL(incoming.url ?? '');
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const onward = forward({
      port: targetPort,
      method: incoming.method,
      path: pathname + search,
      headers,
    });
    onward.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', ({ headers, method, url }, socket) => {
    const authorization = headers['proxy-authorization'];
    requests.push({ method, target: url, authorization });
    if (isRefused(authorization)) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n');
      return;
    }
    const onward = connect(targetPort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [socket, onward]) end.on('error', () => [socket, onward].map((each) => each.destroy()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
