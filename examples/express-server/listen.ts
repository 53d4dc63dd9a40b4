import type { RequestListener, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConfigurationError } from 'multimodal-chat';

/** Generous, for uploads over slow lines. Replies are limited by the chat's timeouts. */
const receiveTimeoutMs = 15 * 60_000;
/** Longer than proxies keep idle connections, so that they never reuse one that is closing. */
const keepAliveTimeoutMs = 75_000;
const headersTimeoutMs = 30_000;

/** Error codes of `::1` on a machine with IPv4 only. */
const missingAddressCodes = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'];

/** Listening sockets, handled as one server. */
export interface Listening {
  readonly port: number;
  /** Stops accepting; resolves when every connection has ended. */
  stop(): Promise<void>;
  /** Cuts open connections. */
  cutOff(): void;
}

/**
 * Listens on `host`. `localhost` means 127.0.0.1 and ::1, because clients resolve it to either.
 *
 * @throws ConfigurationError if the port is taken or not allowed, or the host is not this machine's.
 */
export async function listen(listener: RequestListener, host: string, port: number): Promise<Listening> {
  const hosts = host === 'localhost' ? ['127.0.0.1', '::1'] : [host.replace(/^\[(.*)\]$/, '$1')];
  const servers: Server[] = [];
  let boundPort = port;
  for (const address of hosts) {
    const server = createServer({ requestTimeout: receiveTimeoutMs }, listener);
    server.headersTimeout = headersTimeoutMs;
    server.keepAliveTimeout = keepAliveTimeoutMs;
    try {
      await bind(server, address, boundPort);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (servers.length > 0 && missingAddressCodes.includes(code)) continue;
      for (const bound of servers) bound.close();
      throw new ConfigurationError(explain(code, host, boundPort), { cause: error });
    }
    servers.push(server);
    boundPort = (server.address() as AddressInfo).port;
  }
  return {
    port: boundPort,
    async stop() {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      // Idle keep-alive connections would keep the server open.
      const sweep = setInterval(() => servers.forEach((server) => void server.closeIdleConnections()), 50);
      await Promise.all(closed).finally(() => clearInterval(sweep));
    },
    cutOff: () => servers.forEach((server) => void server.closeAllConnections()),
  };
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function explain(code: string, host: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} is already in use. Stop the other program, or set PORT to a free port.`;
    case 'EACCES':
      return `This user may not listen on port ${port}. Set PORT to 1024 or above.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST is ${host}, which is not an address of this machine. Set HOST to localhost or 0.0.0.0.`;
    default:
      return `The server cannot listen on ${host}:${port} (${code}).`;
  }
}
