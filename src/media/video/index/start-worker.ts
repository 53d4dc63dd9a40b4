import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Starts the index worker from one place. Throws, or the worker fails, if the file is not there. */
export type StartWorker = (options: WorkerOptions) => Worker;

/** Beside the code that starts it: the form that bundlers recognize and copy the file for. */
const besideThisFile: StartWorker = (options) =>
  new Worker(new URL('./index-worker.cjs', import.meta.url), options);

/** In the installed package, for a bundle without the file. */
const fromPackage: StartWorker = (options) => {
  // A bundle in CommonJS has no `import.meta.url`.
  const from = import.meta.url ?? pathToFileURL(process.argv[1] ?? join(process.cwd(), 'index.js'));
  const manifest = createRequire(from).resolve('multimodal-chat/package.json');
  return new Worker(join(manifest, '../dist/index-worker.cjs'), options);
};

/** From source, as tests run. Not written in the form that bundlers recognize, since no package has the file. */
const fromSource: StartWorker = (options) => {
  const tsx = createRequire(import.meta.url).resolve('tsx/cjs/api');
  const file = fileURLToPath(import.meta.url.replace(/[^/]*$/, 'index-worker.ts'));
  const load = `require(${JSON.stringify(tsx)}).register(); require(${JSON.stringify(file)});`;
  return new Worker(load, { ...options, eval: true });
};

/** The ways to start the index worker, in the order in which they are tried. */
export const workerStarts: readonly StartWorker[] = import.meta.url?.endsWith('.ts')
  ? [fromSource]
  : [besideThisFile, fromPackage];
