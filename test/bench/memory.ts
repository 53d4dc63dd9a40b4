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
import { type ChromaServer, startChromaServer } from '../support/chroma-server.js';
import { diskMb, type MemoryCase, type MemoryRow, runMemoryCase, storeNames } from './memory-cases.js';
import { measureChromaPairs } from './memory-chroma-pairs.js';
import { measureLocomo } from './memory-locomo.js';
import { measureSizes } from './memory-sizes.js';
import { measureSplit } from './memory-split.js';
import { rounded } from './statistics.js';

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
async function runApart(memoryCase: MemoryCase, directory: string): Promise<MemoryRow[]> {
  const self = fileURLToPath(import.meta.url);
  const args = ['--import', 'tsx', self, '--case', JSON.stringify(memoryCase), '--directory', directory];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`The case ${JSON.stringify(memoryCase)} ended with ${code}.`);
  return JSON.parse(output) as MemoryRow[];
}

const stores = options.stores.split(',');
const localStores = ['embedded', 'better-sqlite3'] as const;
const report = (result: unknown) => process.stderr.write(`${JSON.stringify(result)}\n`);

type Filling = Pick<MemoryCase, 'turns' | 'sessions'>;

/** One store holds all sessions where there is room for them, else each session has a store of its own. */
function fillings(): Filling[] {
  return numbers(options.turns).flatMap((turns) => {
    const sessions = numbers(options['session-turns']).filter((count) => count <= turns);
    const together = sessions.reduce((sum, count) => sum + count, 0) <= turns;
    const groups = together ? [sessions] : sessions.map((count) => [count]);
    return groups.filter((group) => group.length > 0).map((group) => ({ turns, sessions: group }));
  });
}

async function measureLocal(directory: string): Promise<MemoryRow[]> {
  const results: MemoryRow[] = [];
  for (const store of localStores.filter((name) => stores.includes(name))) {
    for (const filling of fillings()) {
      const rows = await runApart({ store, ...filling }, directory);
      rows.forEach(report);
      results.push(...rows);
    }
  }
  return results;
}

/** The fewest turns to the most, where there are two numbers of them. */
async function measureGrowth(directory: string): Promise<unknown[]> {
  if (!stores.includes('embedded')) return [];
  const results: unknown[] = [];
  for (const sessionTurns of numbers(options['session-turns'])) {
    const cases = fillings()
      .filter(({ sessions }) => sessions.includes(sessionTurns))
      .map((filling): MemoryCase => ({ store: 'embedded', ...filling }))
      .sort((a, b) => a.turns - b.turns);
    const [few] = cases;
    const many = cases.at(-1);
    if (!few || !many || few === many) continue;
    const result = await measureSizes(directory, sessionTurns, { few, many });
    report(result);
    results.push(result);
  }
  return results;
}

/** What each of them takes there, in MB. What was written through the store is read through its outbox as well. */
async function fillOn(server: ChromaServer, names: readonly MemoryCase['store'][], filling: Filling) {
  const disk = new Map<string, number>();
  for (const store of names) {
    if (store === 'chroma-outbox' && names.includes('chroma')) continue;
    const before = await diskMb(server.dataDirectory);
    await runApart({ store, ...filling, server, step: 'fill' }, '');
    disk.set(store, rounded((await diskMb(server.dataDirectory)) - before, 1));
  }
  return disk;
}

/**
 * All stores on one server, one after the other, and in turn where both are asked for.
 */
async function measureServers() {
  const rows: MemoryRow[] = [];
  const pairs: unknown[] = [];
  const names = storeNames.filter((name) => name.startsWith('chroma') && stores.includes(name));
  for (const filling of names.length > 0 ? fillings() : []) {
    const server = await startChromaServer();
    if (!server) break;
    try {
      const disk = await fillOn(server, names, filling);
      for (const store of names) {
        const found = await runApart({ store, ...filling, server, step: 'measure' }, '');
        const withDisk = found.map((row) => ({ ...row, diskMb: disk.get(store) ?? disk.get('chroma') }));
        withDisk.forEach(report);
        rows.push(...withDisk);
      }
      if (!names.includes('chroma') || !names.includes('chroma-direct')) continue;
      for (const sessionTurns of filling.sessions) {
        const result = await measureChromaPairs(server.url, { turns: filling.turns, sessionTurns });
        report(result);
        pairs.push(result);
      }
    } finally {
      await server.stop();
    }
  }
  return { rows, pairs };
}

async function measureFiles() {
  const directory = await mkdtemp(join(tmpdir(), 'bench-memory-'));
  try {
    const rows = await measureLocal(directory);
    return { rows, growth: await measureGrowth(directory) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function loadEmbedder(path: string | undefined): Promise<Embedder | undefined> {
  if (path === undefined) return undefined;
  const module = (await import(pathToFileURL(resolve(path)).href)) as { embedder: Embedder };
  return module.embedder;
}

if (options.case !== undefined) {
  const result = await runMemoryCase(JSON.parse(options.case) as MemoryCase, options.directory);
  process.stdout.write(JSON.stringify(result));
} else {
  const recall =
    options.locomo && (await measureLocomo(options.locomo, await loadEmbedder(options.embedder)));
  const split = options.locomo && options.split && measureSplit(options.locomo);
  const files = await measureFiles();
  const servers = await measureServers();
  const result = {
    node: process.version,
    platform: process.platform,
    stores: [...files.rows, ...servers.rows],
    growth: files.growth,
    chromaPairs: servers.pairs,
    ...(recall ? { recall } : {}),
    ...(split ? { split } : {}),
  };
  process.stdout.write(`${JSON.stringify(result, undefined, options.json ? undefined : 2)}\n`);
}
