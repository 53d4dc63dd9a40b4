/**
 * A process that appends turns to one file until it is killed, and writes the ids of the acknowledged
 * ones to stdout: `memory-writer.ts FILE SESSION PREFIX`. With `AS_NOBODY` set it gives up root first.
 */
import { writeSync } from 'node:fs';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';

const [path = '', sessionId = '', prefix = ''] = process.argv.slice(2);
if (process.env.AS_NOBODY && process.getuid?.() === 0) {
  // Loaded while its files can still be read.
  await import('libsql');
  process.setgid?.(65_534);
  process.setuid?.(65_534);
}
const store = new EmbeddedMemoryStore({ path });
try {
  for (let n = 0; ; n++) {
    const id = `${prefix}-${n}`;
    await store.append(makeTurn({ sessionId, id, prompt: `turn ${id}`, reply: 'x'.repeat(700) }));
    writeSync(1, `${id}\n`);
  }
} catch (error) {
  writeSync(2, `${(error as Error).name}: ${(error as Error).message}\n`);
  process.exitCode = 3;
}
