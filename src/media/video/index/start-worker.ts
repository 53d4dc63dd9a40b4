import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { installedFile, resolveFrom } from '../../../core/installed.js';

/** Starts the index worker from one place. Throws, or the worker fails, if the file is not there. */
export type StartWorker = (options: WorkerOptions) => Worker;

/**
 * Beside the code that starts it. Bundlers recognize this URL and copy the file. Written inside of
 * `new Worker()` it would be a chunk of its own, which webpack 5.112 then fails to start on Node.
 */
const besideThisFile: StartWorker = (options) => {
  const file = new URL('./index-worker.cjs', import.meta.url);
  return new Worker(file, options);
};

/** In the installed package, for a bundle without the file. */
const fromPackage: StartWorker = (options) => new Worker(installedFile('index-worker.cjs'), options);

/** From source, as tests run. */
const fromSource: StartWorker = (options) => {
  const tsx = resolveFrom(import.meta.url, 'tsx/cjs/api');
  const file = fileURLToPath(import.meta.url.replace(/[^/]*$/, 'index-worker.ts'));
  const load = `require(${JSON.stringify(tsx)}).register(); require(${JSON.stringify(file)});`;
  return new Worker(load, { ...options, eval: true });
};

/** The ways to start the index worker, in the order in which they are tried. */
export const workerStarts: readonly StartWorker[] = import.meta.url?.endsWith('.ts')
  ? [fromSource]
  : [besideThisFile, fromPackage];
