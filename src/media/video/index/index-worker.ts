/** The worker thread that reads packet indexes. A file of its own in `dist/`, started by `start-worker.ts`. */
import { parentPort } from 'node:worker_threads';
import { serveIndexes } from './serve-indexes.js';

// mediabunny logs what it finds odd in a file, and pending output of a worker keeps the process alive.
for (const level of ['warn', 'error'] as const) globalThis.console[level] = () => undefined;

const load = async () => {
  const mediabunny = await import('mediabunny');
  if (parentPort) serveIndexes(parentPort, mediabunny);
};
void load();
