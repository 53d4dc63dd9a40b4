import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real Redis server of one test file. */
export interface RedisServer {
  readonly url: string;
  /** Kills the server, like a crash. */
  kill(): Promise<void>;
  /** Starts it again on the same port, without its data. */
  restart(): Promise<void>;
  /** Kills it and removes its folder. */
  stop(): Promise<void>;
}

const program = 'redis-server';
const startTimeoutMs = 20_000;

/**
 * Starts `redis-server` on a free port, without persistence. Returns `undefined` if it is not installed,
 * with a message on stderr, so that tests are skipped. With `CI` set it throws instead.
 */
export async function startRedisServer(): Promise<RedisServer | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-redis-'));
  const port = await freePort();
  let child: ChildProcess | undefined;

  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  const start = async () => {
    const parameters = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''];
    child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
    await untilReady(child);
  };

  try {
    await start();
  } catch (error) {
    await kill();
    await rm(directory, { recursive: true, force: true });
    if (process.env.CI) throw error;
    process.stderr.write(
      `SKIPPED: tests against a real Redis. ${(error as Error).message} Install it, for example with apt-get install redis-server.\n`,
    );
    return undefined;
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    restart: start,
    async stop() {
      await kill();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('redis-server was not ready in time.')), startTimeoutMs);
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk;
      if (!output.includes('Ready to accept connections')) return;
      clearTimeout(timer);
      resolve();
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`redis-server cannot be run (${error.message}).`));
    });
    child.once('exit', () => {
      clearTimeout(timer);
      reject(new Error(`redis-server ended: ${output.slice(-500)}`));
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}
