import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { inject } from 'vitest';

/**
 * Prints to stderr what the index worker of clips answers and every warning of this package, from whatever
 * process of an app does it.
 */
const probe = `
const { isMainThread } = require('node:worker_threads');
const print = (text) => require('node:fs').writeSync(2, text + '\\n');
if (isMainThread) {
  process.on('worker', (worker) => worker.on('message', (message) => {
    if (message && message.id) print('index-worker: ' + (message.error ?? 'ok'));
  }));
  process.on('warning', ({ code }) => { if (/^MULTIMODAL_CHAT/.test(code)) print('warning: ' + code); });
}
`;

/** What an app needs of the environment. No key unless one is asked for, and nothing of this process. */
export function environment(withKey = true): NodeJS.ProcessEnv {
  const { HOME, PATH } = process.env;
  return {
    ...{ HOME, PATH, NEXT_TELEMETRY_DISABLED: '1' },
    ...(withKey && { GEMINI_API_KEY: 'a-key', GOOGLE_GEMINI_BASE_URL: inject('emulatorUrl') }),
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** Ends a process and those that it started. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  process.kill(-child.pid, 'SIGKILL');
  await gone;
}

/** A server that was started, and all that it wrote. */
export interface RunningApp extends AsyncDisposable {
  readonly url: string;
  output(): string;
}

/** Starts a server at \`port\` and waits until it answers. @throws Error with its output if it ends before. */
export async function startServer(
  command: readonly [program: string, ...parameters: string[]],
  { cwd, port }: { readonly cwd: string; readonly port: number },
): Promise<RunningApp> {
  const probeFile = join(inject('fullApp'), 'probe.cjs');
  await writeFile(probeFile, probe);
  const [program, ...parameters] = command;
  const env = { ...environment(), PORT: String(port), NODE_OPTIONS: `--require ${probeFile}` };
  const child = spawn(program, parameters, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let written = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      written += chunk.toString();
    });
  const app: RunningApp = {
    url: `http://127.0.0.1:${port}/api`,
    output: () => written,
    [Symbol.asyncDispose]: () => stop(child),
  };
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The app has ended: ${written}`);
    const answered = await fetch(app.url).then(
      () => true,
      () => false,
    );
    if (answered) return app;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function infer(app: RunningApp, body: RequestInit): Promise<string> {
  const response = await fetch(`${app.url}/infer`, { method: 'POST', ...body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}\n${app.output()}`);
  return text;
}

async function form(file: string): Promise<RequestInit> {
  const body = new FormData();
  body.set('prompt', 'What is this?');
  body.set('session_id', 'frameworks');
  body.set('video_file', new Blob([await readFile(join(inject('fullApp'), file))]), file);
  return { body };
}

/** Asks with a text, a picture and a clip, over HTTP. */
export async function askAll(app: RunningApp) {
  const json = { prompt: 'Hello there' };
  const text = await infer(app, {
    body: JSON.stringify(json),
    headers: { 'content-type': 'application/json' },
  });
  const picture = await infer(app, await form('photo.jpg'));
  const clip = await infer(app, await form('clip.mp4'));
  const lines = [...new Set(app.output().match(/^(?:index-worker|warning): .*$/gm))];
  return {
    text: /You asked: “.*”/.exec(text)?.[0],
    picture: /\d+ pictures?: \[photo\.jpg\] \(\d+×\d+/.exec(picture)?.[0],
    clip: /\d+ pictures?: \[clip\.mp4, frame at/.exec(clip)?.[0],
    lines,
  };
}

/** All answered, the clip by way of the packet index, the picture from a process of its own. */
export const answeredAll = {
  text: 'You asked: “Hello there”',
  picture: '1 picture: [photo.jpg] (64×48',
  clip: '8 pictures: [clip.mp4, frame at',
  lines: ['index-worker: ok'],
};
