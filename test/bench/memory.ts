/**
 * `npm run bench:memory -- --json [--turns 1000,100000] [--session-turns 1000,5000]
 * [--stores embedded,better-sqlite3,chroma,chroma-outbox,chroma-direct] [--locomo DIR [--split]]
 * [--embedder MODULE]`
 *
 * `--split` also judges each conversation with what was tuned on the others. MODULE exports an `embedder`. Prints one JSON object on stdout; progress goes to stderr.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Embedder } from '../../src/memory/embedder.js';
import { type MemoryCase, runMemoryCase, storeNames } from './memory-cases.js';
import { measureChromaPairs } from './memory-chroma-pairs.js';
import { measureLocomo } from './memory-locomo.js';
import { measureSizes } from './memory-sizes.js';
import { measureSplit } from './memory-split.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    turns: { type: 'string', default: '1000,100000' },
    'session-turns': { type: 'string', default: '1000,5000' },
    stores: { type: 'string', default: storeNames.join(',') },
    locomo: { type: 'string' },
    split: { type: 'boolean', default: false },
    embedder: { type: 'string' },
    case: { type: 'string' },
    directory: { type: 'string', default: '' },
  },
});

const numbers = (list: string): number[] => list.split(',').filter(Boolean).map(Number);

/** A process of its own for each case, so that `rssMb` is that of the case. */
async function runApart(memoryCase: MemoryCase, directory: string): Promise<unknown> {
  const self = fileURLToPath(import.meta.url);
  const args = ['--import', 'tsx', self, '--case', JSON.stringify(memoryCase), '--directory', directory];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`The case ${JSON.stringify(memoryCase)} ended with ${code}.`);
  return JSON.parse(output) as unknown;
}

async function measureStores(directory: string): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const store of storeNames.filter((name) => options.stores.split(',').includes(name))) {
    for (const turns of numbers(options.turns)) {
      for (const sessionTurns of numbers(options['session-turns'])) {
        if (sessionTurns > turns) continue;
        const result = await runApart({ store, turns, sessionTurns }, directory);
        process.stderr.write(`${JSON.stringify(result)}\n`);
        if (result !== null) results.push(result);
      }
    }
  }
  return results;
}

/** The fewest turns to the most, where there are two numbers of them. */
async function measureGrowth(directory: string): Promise<unknown[]> {
  if (!options.stores.split(',').includes('embedded')) return [];
  const results: unknown[] = [];
  for (const sessionTurns of numbers(options['session-turns'])) {
    const sizes = numbers(options.turns).filter((turns) => turns >= sessionTurns);
    const few = Math.min(...sizes);
    const many = Math.max(...sizes);
    if (sizes.length < 2) continue;
    const result = await measureSizes(directory, { sessionTurns, few, many });
    process.stderr.write(`${JSON.stringify(result)}\n`);
    results.push(result);
  }
  return results;
}

async function measureFilled() {
  const directory = await mkdtemp(join(tmpdir(), 'bench-memory-'));
  try {
    const stores = await measureStores(directory);
    return { stores, growth: await measureGrowth(directory) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Only where both are asked for. */
async function measurePairs(): Promise<unknown[]> {
  const stores = options.stores.split(',');
  if (!stores.includes('chroma') || !stores.includes('chroma-direct')) return [];
  const results: unknown[] = [];
  for (const sessionTurns of numbers(options['session-turns'])) {
    const result = await measureChromaPairs(sessionTurns);
    process.stderr.write(`${JSON.stringify(result)}\n`);
    if (result) results.push(result);
  }
  return results;
}

async function loadEmbedder(path: string | undefined): Promise<Embedder | undefined> {
  if (path === undefined) return undefined;
  const module = (await import(pathToFileURL(resolve(path)).href)) as { embedder: Embedder };
  return module.embedder;
}

if (options.case !== undefined) {
  const result = await runMemoryCase(JSON.parse(options.case) as MemoryCase, options.directory);
  process.stdout.write(JSON.stringify(result ?? null));
} else {
  const recall =
    options.locomo && (await measureLocomo(options.locomo, await loadEmbedder(options.embedder)));
  const split = options.locomo && options.split && measureSplit(options.locomo);
  const { stores, growth } = await measureFilled();
  const chromaPairs = await measurePairs();
  const result = {
    node: process.version,
    platform: process.platform,
    stores,
    growth,
    chromaPairs,
    ...(recall ? { recall } : {}),
    ...(split ? { split } : {}),
  };
  process.stdout.write(`${JSON.stringify(result, undefined, options.json ? undefined : 2)}\n`);
}
