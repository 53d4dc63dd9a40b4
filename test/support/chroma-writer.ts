/**
 * A process that appends turns to a Chroma store until it is killed, and writes the ids of the
 * acknowledged ones to stdout: `chroma-writer.ts URL COLLECTION_PREFIX SESSION ID_PREFIX [OUTBOX]`. Turns that are
 * not accepted are left out.
 */
import { writeSync } from 'node:fs';
import { ChromaMemoryStore } from '../../src/chroma.js';
import { MemoryError } from '../../src/core/errors.js';
import { withOutbox } from '../../src/memory/outbox/with-outbox.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';

const [url, collectionPrefix, sessionId = '', prefix = '', outbox] = process.argv.slice(2);
const plain = new ChromaMemoryStore({ url, collectionPrefix });
const store = outbox === undefined ? plain : withOutbox(plain, { path: outbox });
for (let n = 0; ; n++) {
  const id = `${prefix}-${n}`;
  try {
    await store.append(makeTurn({ sessionId, id, prompt: `turn ${id}`, reply: 'x'.repeat(700) }));
    writeSync(1, `${id}\n`);
  } catch (error) {
    if (!MemoryError.isInstance(error)) throw error;
  }
}
