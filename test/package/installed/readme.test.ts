import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, inject, it } from 'vitest';
import { programOf, type ReadmeBlock, readme, readmeBlocks, readmePort } from '../../support/readme.js';
import { answeredAll, askAll, environment, freePort, startServer } from './apps.js';

const run = promisify(execFile);
const app = inject('fullApp');
const folder = join(app, 'readme');

/** Where a block is written, below the media that it names. */
const fileOf = (block: ReadmeBlock, extension: string) =>
  join(folder, `block-${readmeBlocks.indexOf(block)}.${extension}`);

const isCommonJs = ({ code }: ReadmeBlock) => code.includes('require(');
/** Answers at a port until it is stopped. */
const isServer = ({ code }: ReadmeBlock) => code.includes(readmePort);
/** What it talks to has tests of its own: Chroma, Redis, a proxy, an MCP server; Next.js runs its route. */
const needsMore = ({ code }: ReadmeBlock) =>
  ['ChromaMemoryStore', 'RedisKeyPool', 'EnvHttpProxyAgent', 'StdioClientTransport', '// app/api/'].some(
    (text) => code.includes(text),
  );

describe('the blocks of the README', () => {
  it('are found', () => {
    expect(readmeBlocks.length).toBeGreaterThan(25);
    expect(readmeBlocks.filter(isServer).length).toBeGreaterThan(4);
  });

  it('compile as they stand', async () => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    // Each is a module of its own, also without an import.
    for (const block of readmeBlocks)
      await writeFile(fileOf(block, isCommonJs(block) ? 'cjs' : 'mts'), block.code);
    const compilerOptions = {
      ...{ module: 'NodeNext', target: 'ES2022', strict: true, noEmit: true, skipLibCheck: true },
      ...{ allowJs: true, checkJs: true, experimentalDecorators: true, types: ['node'] },
      lib: ['ES2022', 'ESNext.Disposable', 'DOM', 'DOM.Iterable'],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['.'] }));
    const compiler = join(app, 'node_modules/typescript-5.9/bin/tsc');
    const compiled = run(process.execPath, [compiler, '-p', folder]).then(
      () => '',
      ({ stdout }: { stdout: string }) => stdout,
    );
    expect(await compiled).toBe('');
  });

  async function writeProgram(block: ReadmeBlock, port: number): Promise<string> {
    await mkdir(folder, { recursive: true });
    const file = fileOf(block, isCommonJs(block) ? 'cjs' : 'mjs');
    await writeFile(file, isCommonJs(block) ? block.code : programOf(block, port));
    return file;
  }

  const programs = readmeBlocks.filter((block) => !needsMore(block));

  it.each(programs.filter((block) => !isServer(block)))('run: $name', async (block) => {
    const file = await writeProgram(block, 0);
    const names = ['KEY_A1', 'KEY_A2', 'KEY_B1'];
    const env = { ...environment(), ...Object.fromEntries(names.map((name) => [name, `value-of-${name}`])) };
    await run(process.execPath, [file], { cwd: app, env });
  });

  it.each(programs.filter(isServer))('serve: $name', async (block) => {
    const port = await freePort();
    const file = await writeProgram(block, port);
    await using server = await startServer([process.execPath, file], { cwd: app, port });
    expect(await askAll(server)).toEqual(answeredAll);
  });
});

describe('the links of the README', () => {
  const targets = Array.from(readme.matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target);

  it('work on the page of the package, which has no other file', () => {
    expect(targets.filter((target) => !/^(https:|#)/.test(target))).toEqual([]);
  });

  it('lead to headings that exist', () => {
    const headings = Array.from(readme.matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    const anchors = targets.filter((target) => target.startsWith('#')).map((target) => target.slice(1));
    expect(anchors.length).toBeGreaterThan(10);
    expect(anchors.filter((anchor) => !headings.includes(anchor))).toEqual([]);
  });

  it('lead to files that exist', () => {
    const paths = targets.flatMap((target) => /\/(?:blob\/)?main\/(.+)$/.exec(target)?.[1] ?? []);
    expect(paths.length).toBeGreaterThan(4);
    const missing = paths.filter((path) => !existsSync(new URL(`../../../${path}`, import.meta.url)));
    expect(missing).toEqual([]);
  });
});
