/** Prepares one picture after the other until it is killed. Says when the first is ready. */
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { emptyTiffPage, tiffOf } from './media-bombs.js';

const processor = new DefaultMediaProcessor({ cacheBytes: 0 });
const run = async () => {
  await processor.prepare(tiffOf(emptyTiffPage(), 2));
  process.stdout.write('ready');
  await processor.prepare(tiffOf(emptyTiffPage(), 9000));
};
void run();
