import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import type { AbortOptions } from '../../core/abort.js';
import { sleep, systemClock } from '../../core/clock.js';
import { parseOptions } from '../../core/parse-options.js';
import { type ChromaServerOptions, chromaServerOptionsSchema } from './chroma-server-options.js';
import { ChromaStartError, explainStartFailure } from './explain-start-failure.js';
import { ServerProcess } from './server-process.js';
import { describeSystem, shippedCommand } from './shipped-server.js';

/** A Chroma server that runs as a child of this process. */
export interface ManagedChromaServer extends AsyncDisposable {
  /** For the option `url` of `ChromaMemoryStore`. */
  readonly url: string;
  /** Stops it for certain: SIGTERM, and SIGKILL after 2 s. */
  close(): Promise<void>;
}

const pollMs = 50;
/** A free port may be taken in the meantime; then another one is picked. */
const portsTried = 3;

/**
 * Starts the Chroma server that the npm package `chromadb` ships, and resolves when it answers. It ends
 * with `close()` or with this process, however that ends; it does not keep this process alive. Its native
 * part needs glibc 2.39 on Linux.
 *
 * @throws ChromaStartError if it cannot run, with what to do instead.
 * @throws ConfigurationError that names every option that is wrong.
 * @example
 * ```ts
 * await using server = await startChromaServer({ path: './data/chroma' });
 * const memory = new ChromaMemoryStore({ url: server.url });
 * ```
 */
export async function startChromaServer(options: ChromaServerOptions): Promise<ManagedChromaServer> {
  const resolved = parseOptions(chromaServerOptionsSchema, options, 'startChromaServer');
  const { command = shippedCommand(), host, path, port: wantedPort, signal, timeoutMs } = resolved;
  signal?.throwIfAborted();
  await mkdir(path, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const port = await claimPort(wantedPort, host);
    const parameters = ['run', '--path', resolve(path), '--host', host, '--port', String(port)];
    const server = new ServerProcess([...command, ...parameters]);
    const url = `http://${host.includes(':') ? `[${host}]` : reachable(host)}:${port}`;
    try {
      await untilReady(server, url, { port, timeoutMs, signal });
    } catch (error) {
      await server.stop();
      const isUnlucky =
        ChromaStartError.isInstance(error) && error.reason === 'port-taken' && wantedPort === 0;
      if (isUnlucky && attempt < portsTried) continue;
      throw error;
    }
    server.unref();
    const close = () => server.stop();
    return { url, close, [Symbol.asyncDispose]: close };
  }
}

/** Clients cannot connect to "every address"; the loopback is one of them. */
const reachable = (host: string): string => (host === '0.0.0.0' ? '127.0.0.1' : host);

async function untilReady(
  server: ServerProcess,
  url: string,
  { port, timeoutMs, signal }: AbortOptions & { readonly port: number; readonly timeoutMs: number },
): Promise<void> {
  let exit: string | undefined;
  server.ended.then((how) => {
    exit = how;
  });
  const giveUpAt = performance.now() + timeoutMs;
  while (performance.now() < giveUpAt) {
    await Promise.race([server.ended, sleep(systemClock, pollMs, signal)]);
    if (exit !== undefined)
      throw explainStartFailure(server.output, { system: describeSystem(), port, exit });
    const answer = fetch(`${url}/api/v2/heartbeat`, { signal: AbortSignal.timeout(1_000) });
    const isReady = await answer.then(
      async (reply) => {
        await reply.arrayBuffer();
        return reply.ok;
      },
      () => false,
    );
    if (isReady) return;
  }
  throw new ChromaStartError(
    'timeout',
    `The Chroma server did not answer at ${url} within ${timeoutMs} ms. Raise timeoutMs on a slow machine. It wrote last:\n${server.output.trim()}`,
  );
}

/** The port, or a free one for 0. Throws if another server listens on it, which would answer for ours. */
async function claimPort(wanted: number, host: string): Promise<number> {
  const probe = createServer();
  try {
    await once(probe.listen(wanted, host), 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new ChromaStartError(
        'port-taken',
        `Port ${wanted} is in use. Choose another one, or leave it out to have a free one picked.`,
        { cause },
      );
    }
    throw new ChromaStartError('crashed', `Nothing can listen on ${host}, port ${wanted}: ${code}.`, {
      cause,
    });
  }
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : wanted;
}
