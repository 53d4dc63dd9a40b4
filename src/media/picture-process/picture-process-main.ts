/** The process that decodes pictures. A file of its own in `dist/`, started by `start-picture-process.ts`. */
import { loadSharp } from '../frame/sharp-module.js';
import { servePictures } from './serve-pictures.js';

// Ctrl+C reaches this process too. It ends with the one that started it, whose input ends then.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const serve = async () => {
  const sharp = await loadSharp();
  // No picture is decoded twice here, and what is kept would count against the memory of the next.
  sharp.cache(false);
  await servePictures();
};
void serve();
