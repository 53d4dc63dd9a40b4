import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startRedisServer } from '../../support/redis-server.js';
import type { CallerReport, CallerTask } from './redis-caller.js';
import type { BenchProject } from './scenario.js';

const caller = fileURLToPath(new URL('./redis-caller.ts', import.meta.url));

/**
 * Runs `work` with processes that share one Redis. Nothing, loudly, where `redis-server` is not installed.
 *
 * @param pool Options of the pool in each process.
 */
export async function withCallers<T>(
  processes: number,
  pool: object,
  work: (children: readonly ChildProcess[]) => Promise<T>,
): Promise<T | undefined> {
  const server = await startRedisServer();
  if (server === undefined) return undefined;
  const env = { ...process.env, REDIS_URL: server.url, POOL: JSON.stringify(pool) };
  const children = Array.from({ length: processes }, () =>
    fork(caller, { env, execArgv: ['--import', 'tsx'] }),
  );
  try {
    await Promise.all(children.map((child) => once(child, 'message')));
    return await work(children);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await server.stop();
  }
}

export const keysOf = (projects: readonly BenchProject[]) =>
  projects.flatMap(({ id, keys }) => keys.map((key) => ({ key, project: id })));

export async function ask(child: ChildProcess, request: CallerTask): Promise<CallerReport> {
  child.send(request);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`A process that called ended with ${code}.`);
  });
  const [report] = (await Promise.race([once(child, 'message'), ended])) as [CallerReport];
  ended.catch((error: unknown) => error);
  return report;
}
