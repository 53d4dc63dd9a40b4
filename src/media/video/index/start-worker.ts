import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

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
const fromPackage: StartWorker = (options) => {
  // A bundle in CommonJS has no `import.meta.url`.
  const from = import.meta.url ?? pathToFileURL(process.argv[1] ?? join(process.cwd(), 'index.js')).href;
  const manifest = resolveFrom(from, 'multimodal-chat/package.json');
  return new Worker(join(manifest, '../dist/index-worker.cjs'), options);
};

/** From source, as tests run. */
const fromSource: StartWorker = (options) => {
  const tsx = resolveFrom(import.meta.url, 'tsx/cjs/api');
  const file = fileURLToPath(import.meta.url.replace(/[^/]*$/, 'index-worker.ts'));
  const load = `require(${JSON.stringify(tsx)}).register(); require(${JSON.stringify(file)});`;
  return new Worker(load, { ...options, eval: true });
};

/** A function, because bundlers would follow `createRequire(import.meta.url).resolve('…')`. */
function resolveFrom(from: string, name: string): string {
  return createRequire(from).resolve(name);
}

/** The ways to start the index worker, in the order in which they are tried. */
export const workerStarts: readonly StartWorker[] = import.meta.url?.endsWith('.ts')
  ? [fromSource]
  : [besideThisFile, fromPackage];
