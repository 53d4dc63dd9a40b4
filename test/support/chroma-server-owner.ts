/**
 * A process that starts a managed Chroma server, writes its URL to stdout, and then ends by itself or
 * waits to be killed: `chroma-server-owner.ts DATA_DIR end|wait`.
 */
import { writeSync } from 'node:fs';
import { startChromaServer } from '../../src/chroma.js';
import { runnableHere } from './chroma-server.js';

const [path = '', then] = process.argv.slice(2);
const { url } = await startChromaServer({ path, command: runnableHere });
writeSync(1, `${url}\n`);
if (then === 'wait') setInterval(() => undefined, 1_000);
