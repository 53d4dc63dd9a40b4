import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A real Chroma server for one test file. */
export interface ChromaServer {
  readonly url: string;
  readonly dataDirectory: string;
  /** Kills the server at once, as a crash would, and keeps its data. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data. */
  restart(): Promise<void>;
  /** Kills it and removes its data. */
  stop(): Promise<void>;
}

const script = fileURLToPath(new URL('./chroma-server.sh', import.meta.url));
const packageDirectory = fileURLToPath(new URL('../..', import.meta.url));
/** Starts the server that chromadb ships, even if the system's glibc is too old for it. */
export const runnableHere: readonly string[] = ['bash', script, packageDirectory];
/** The first start on an old glibc fetches libraries. */
const startTimeoutMs = 120_000;

/**
 * Starts the server that the chromadb package ships. If it cannot run here, writes why to stderr and
 * returns undefined, so that tests skip loudly; under `CI` it throws instead.
 */
export async function startChromaServer(): Promise<ChromaServer | undefined> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'multimodal-chat-chroma-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;

  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  const start = async () => {
    const [program = '', ...parameters] = runnableHere;
    const run = ['run', '--path', dataDirectory, '--host', '127.0.0.1', '--port', String(port)];
    child = spawn(program, [...parameters, ...run], { stdio: ['ignore', 'ignore', 'pipe'] });
    await untilReady(child, url);
  };

  try {
    await start();
  } catch (error) {
    await kill();
    await rm(dataDirectory, { recursive: true, force: true });
    if (process.env.CI) throw error;
    process.stderr.write(`SKIPPED: tests against a real Chroma server. ${(error as Error).message}\n`);
    return undefined;
  }
  return {
    url,
    dataDirectory,
    kill,
    restart: start,
    async stop() {
      await kill();
      await rm(dataDirectory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

async function untilReady(child: ChildProcess, url: string): Promise<void> {
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk).slice(-2_000);
  });
  const giveUpAt = Date.now() + startTimeoutMs;
  while (Date.now() < giveUpAt) {
    if (child.exitCode !== null) throw new Error(`It cannot run here: ${complaint.trim()}`);
    const reply = await fetch(`${url}/api/v2/heartbeat`).catch(() => undefined);
    if (reply?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`It was not ready within ${startTimeoutMs / 1000} s: ${complaint.trim()}`);
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
