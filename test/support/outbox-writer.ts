/**
 * A process that appends turns through an outbox until it is killed, and writes the ids of the acknowledged
 * ones to stdout: `outbox-writer.ts OUTBOX MEMORY ID_PREFIX`.
 */
import { writeSync } from 'node:fs';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import { withOutbox } from '../../src/memory/outbox/with-outbox.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';

const [outbox = '', memory = '', prefix = ''] = process.argv.slice(2);
const store = withOutbox(new EmbeddedMemoryStore({ path: memory }), { path: outbox });
for (let n = 0; ; n++) {
  const id = `${prefix}-${n}`;
  await store.append(makeTurn({ id, prompt: `turn ${id}` }));
  writeSync(1, `${id}\n`);
}
