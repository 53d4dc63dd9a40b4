import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { compiled } from './compiled.js';

export interface Child {
  readonly url: string;
  readonly pid: number;
  stop(): void;
}

/** Starts a script of this folder and waits until it reports its URL. */
export function startChild(script: string, env: Readonly<Record<string, string>> = {}): Promise<Child> {
  return start(fileURLToPath(new URL(script, import.meta.url)), ['--import', 'tsx'], env);
}

/** The same, with the package as it is published. */
export async function startCompiled(
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Child> {
  return start(await compiled(script), [], env);
}

async function start(
  script: string,
  execArgv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Child> {
  const child = fork(script, { env: { ...process.env, ...env }, execArgv: [...execArgv] });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`${script} ended with code ${code} before it was ready.`);
  });
  const [message] = (await Promise.race([once(child, 'message'), failed])) as [{ url: string }];
  failed.catch((error: unknown) => error);
  return { url: message.url, pid: child.pid ?? 0, stop: () => child.kill('SIGKILL') };
}

/** Starts a command that serves `url` and waits until it answers. */
export async function startCommand(
  command: string,
  parameters: readonly string[],
  url: string,
  env: Readonly<Record<string, string>>,
): Promise<Child> {
  const child = spawn(command, parameters, { env: { ...process.env, ...env }, stdio: 'inherit' });
  const patienceMs = 20_000;
  for (const startedAt = Date.now(); ; ) {
    if (child.exitCode !== null) throw new Error(`${command} ended with code ${child.exitCode}.`);
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) return { url, pid: child.pid ?? 0, stop: () => child.kill('SIGKILL') };
    if (Date.now() - startedAt > patienceMs) throw new Error(`${command} does not answer at ${url}.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
