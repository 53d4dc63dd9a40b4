import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const source = fileURLToPath(new URL('../../src', import.meta.url));

interface Import {
  readonly from: string;
  /** A file of `src`, or the name of a package. */
  readonly to: string;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
}

const staticImport = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const dynamicImport = /(?<!typeof )\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const from = relative(source, file);
  const target = (specifier: string) =>
    specifier.startsWith('.')
      ? relative(source, resolve(dirname(file), specifier)).replace(/\.js$/, '.ts')
      : specifier;
  const found: Import[] = [];
  for (const [, type, specifier] of text.matchAll(staticImport)) {
    found.push({ from, to: target(specifier ?? ''), typeOnly: type !== undefined, dynamic: false });
  }
  for (const [, specifier] of text.matchAll(dynamicImport)) {
    found.push({ from, to: target(specifier ?? ''), typeOnly: false, dynamic: true });
  }
  return found;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
);
const imports = files.flatMap((file) => importsOf(join(source, file)));
const show = (found: readonly Import[]) => found.map(({ from, to }) => `${from} -> ${to}`);

const interfaceFiles = [
  'keys/key-pool.ts',
  'retry/retry-policy.ts',
  'media/media-processor.ts',
  'memory/memory-store.ts',
  'memory/embedder.ts',
  'model/chat-model.ts',
];
/** What every part may use: files that know no part. */
const vocabulary = ['types.ts', 'errors.ts', 'clock.ts', 'follow-signal.ts'];
const parts = ['keys', 'media', 'memory', 'model', 'retry'];
const partOf = (file: string) => parts.find((part) => file.startsWith(`${part}/`));
const isOurs = (file: string) => file.endsWith('.ts');

describe('the direction of dependencies', () => {
  it('sees the whole source', () => {
    expect(files).toEqual(expect.arrayContaining([...interfaceFiles, 'chat.ts', 'index.ts']));
    expect(imports.length).toBeGreaterThan(100);
  });

  it('keeps interface files to types and errors', () => {
    const wrong = imports.filter(
      ({ from, to }) => interfaceFiles.includes(from) && !['types.ts', 'errors.ts'].includes(to),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('keeps the vocabulary to itself', () => {
    const wrong = imports.filter(({ from, to }) => vocabulary.includes(from) && !vocabulary.includes(to));
    expect(show(wrong)).toEqual([]);
  });

  it('lets the parts know of one another only the interfaces', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        partOf(from) !== undefined &&
        isOurs(to) &&
        partOf(to) !== partOf(from) &&
        !vocabulary.includes(to) &&
        !interfaceFiles.includes(to),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('lets the core know no adapter', () => {
    const adapters = /^(http|testing|express|chroma|telemetry)[/.]/;
    const wrong = imports.filter(
      ({ from, to }) => !adapters.test(from) && !from.startsWith('memory/chroma/') && adapters.test(to),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('lets adapters use only the public surface', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        /^(http|testing)\//.test(from) &&
        isOurs(to) &&
        !/^(http|testing)\//.test(to) &&
        ![...vocabulary, ...interfaceFiles, 'index.ts', 'options.ts', 'events.ts'].includes(to),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('leaves values of @google/genai to the Gemini adapter', () => {
    const wrong = imports.filter(
      ({ from, to, typeOnly }) => to === '@google/genai' && !typeOnly && !from.startsWith('model/gemini-'),
    );
    expect(show(wrong)).toEqual([]);
  });

  it.each([
    '@google/genai',
    'sharp',
    'fluent-ffmpeg',
    '@ffmpeg-installer/ffmpeg',
    'mediabunny',
    'chromadb',
    'libsql',
  ])('loads %s only on first use', (heavy) => {
    const eager = imports.filter(({ to, typeOnly, dynamic }) => to === heavy && !typeOnly && !dynamic);
    expect(show(eager)).toEqual([]);
  });

  it('has no import cycle at run time', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to, typeOnly, dynamic } of imports) {
      if (!typeOnly && !dynamic && isOurs(to)) edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]) => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      else if (!done.has(file)) {
        for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
        done.add(file);
      }
    };
    for (const file of edges.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });
});
