import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const serverFile = join(repository, 'examples/express-server/server.ts');
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

type Environment = Readonly<Record<string, string>>;

/** A working directory for one server. */
export async function makeServerDirectory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'example-server-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Keeps the developer's own environment from the server, keys above all. */
function environmentOf(env: Environment): Record<string, string> {
  const { PATH = '', HOME = '', FFMPEG_PATH } = process.env;
  return {
    PATH,
    HOME,
    ...(FFMPEG_PATH === undefined ? {} : { FFMPEG_PATH }),
    TSX_TSCONFIG_PATH: join(repository, 'tsconfig.json'),
    PORT: '0',
    ...env,
  };
}

function spawnServer(directory: string, env: Environment): ChildProcess {
  return spawn(process.execPath, ['--import', tsx, serverFile], {
    cwd: directory,
    env: environmentOf(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function watch(child: ChildProcess): { output: () => string; exited: Promise<Exit> } {
  const written = { stdout: '', stderr: '', both: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
      written.both += text;
    });
  }
  const exited = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout: written.stdout,
    stderr: written.stderr,
  }));
  return { output: () => written.both, exited };
}

/** Runs a server that is expected to exit by itself. */
export async function runServer(directory: string, env: Environment = {}): Promise<Exit> {
  return watch(spawnServer(directory, env)).exited;
}

export interface ServerProcess {
  readonly port: number;
  /** Without a slash at the end. */
  readonly url: string;
  /** Everything written to the console so far. */
  output(): string;
  /** Resolves as soon as the console shows the text. */
  shows(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  readonly exited: Promise<Exit>;
  /** Stops it with SIGTERM if it still runs. */
  stop(): Promise<Exit>;
}

/** Starts the example server on a free port and waits until it listens. */
export async function startServer(directory: string, env: Environment = {}): Promise<ServerProcess> {
  const child = spawnServer(directory, env);
  const { output, exited } = watch(child);
  const shows = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output().includes(text)) finish(resolve);
      };
      const onExit = () =>
        finish(() => reject(new Error(`The server ended without "${text}":\n${output()}`)));
      const finish = (settle: () => void) => {
        for (const stream of [child.stdout, child.stderr]) stream?.off('data', look);
        child.off('close', onExit);
        settle();
      };
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', look);
      child.on('close', onExit);
      look();
    });
  await shows('listening on');
  const port = Number(/listening on http:\/\/\S+:(\d+)/.exec(output())?.[1]);
  return {
    port,
    url: `http://localhost:${port}`,
    output,
    shows,
    signal: (name) => void child.kill(name),
    exited,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      return exited;
    },
  };
}

export interface Attachment {
  readonly name: string;
  readonly data: Uint8Array;
}

/** What `curl -F prompt=… -F session_id=… -F video_file=@…` sends. */
export function question(
  prompt: string,
  sessionId: string,
  attachments: readonly Attachment[] = [],
): FormData {
  const form = new FormData();
  for (const { name, data } of attachments) form.append('video_file', new Blob([new Uint8Array(data)]), name);
  form.append('prompt', prompt);
  form.append('session_id', sessionId);
  return form;
}

/** Asks over HTTP and resolves to the plain answer. @throws if the status is not 200. */
export async function ask(
  server: Pick<ServerProcess, 'url'>,
  prompt: string,
  {
    sessionId = 'c1',
    attachments = [] as readonly Attachment[],
    headers = {} as Record<string, string>,
  } = {},
): Promise<string> {
  const body = question(prompt, sessionId, attachments);
  const response = await fetch(`${server.url}/infer`, { method: 'POST', body, headers });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`Status ${response.status}: ${text}`);
  return text;
}

export const readLog = (directory: string, file = 'chat_api.log') => readFile(join(directory, file), 'utf8');
